"""The address of the page that shows what a base model is trained on."""

from django.urls import path

from runs.base_models.preview import preview

app_name = "model_preview"
urlpatterns = [path("<str:address>/preview/", preview, name="preview")]
