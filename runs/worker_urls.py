"""Addresses of the workers' page."""

from django.urls import path

from runs import views_fleet

app_name = "workers"
urlpatterns = [
    path("", views_fleet.workers, name="list"),
    path("<int:pk>/drain/", views_fleet.drain, name="drain"),
]
