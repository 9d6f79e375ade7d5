"""Addresses of the recipes."""

from django.urls import path

from runs.recipes import views

app_name = "recipes"
urlpatterns = [
    path("", views.recipes, name="list"),
    path("<slug:name>/train/", views.train, name="train"),
]
