"""Addresses of the pages of evaluations."""

from django.urls import path

from runs.evaluations import views

app_name = "evaluations"
urlpatterns = [
    path("<int:number>/", views.evaluation, name="detail"),
]
