"""Addresses of the run pages."""

from django.urls import path

from runs import views, views_checkpoints, views_reproduce

app_name = "runs"
urlpatterns = [
    path("", views.run_list, name="list"),
    path("compare/", views.compare, name="compare"),
    path("<int:run_id>/", views.run_detail, name="detail"),
    path("<int:run_id>/act/", views.act, name="act"),
    path("<int:run_id>/fork/", views_checkpoints.fork, name="fork"),
    path("<int:run_id>/checkpoints/<int:pk>/", views_checkpoints.change, name="checkpoint"),
    path("<int:run_id>/reproduce/", views_reproduce.reproduce, name="reproduce"),
]
