"""Addresses of the base models."""

from django.urls import path

from runs.base_models import views, views_finetune
from runs.base_models.preview import preview

app_name = "models"
urlpatterns = [
    path("", views.model_list, name="list"),
    path("import/", views.import_model, name="import"),
    path("<str:address>/", views.detail, name="detail"),
    path("<str:address>/fine-tune/", views_finetune.start, name="finetune"),
    path("<str:address>/preview/", preview, name="preview"),
    path("<str:address>/delete/", views.delete, name="delete"),
]
