"""Addresses of the run pages."""

from django.urls import path

from runs import reproduce_views, views

app_name = "runs"
urlpatterns = [
    path("", views.run_list, name="list"),
    path("compare/", views.compare, name="compare"),
    path("<int:run_id>/", views.run_detail, name="detail"),
    path("<int:run_id>/act/", views.act, name="act"),
    path("<int:run_id>/reproduce/", reproduce_views.reproduce, name="reproduce"),
]
