"""Address of the comparison of two evaluations."""

from django.urls import path

from runs.evaluation_pairs import views

app_name = "evaluation_pairs"
urlpatterns = [path("", views.compare, name="compare")]
