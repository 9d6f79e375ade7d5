"""Addresses of the run pages."""

from django.urls import path

from runs import views, views_checkpoints, views_fleet, views_log, views_reproduce, views_verbs
from runs.compare import views as compare
from runs.samples import views as samples

app_name = "runs"
urlpatterns = [
    path("", views.run_list, name="list"),
    path("compare/", compare.compare, name="compare"),
    path("compare/export.csv", compare.export, name="compare-csv"),
    path("queue/", views_fleet.queue, name="queue"),
    path("act/", views_verbs.act_on_many, name="act-many"),
    path("<int:run_id>/", views.run_detail, name="detail"),
    path("<int:run_id>/samples/", samples.samples, name="samples"),
    path("<int:run_id>/act/", views_verbs.act, name="act"),
    path("<int:run_id>/log/<int:attempt>/", views_log.download, name="log"),
    path("<int:run_id>/fork/", views_checkpoints.fork, name="fork"),
    path("<int:run_id>/checkpoints/<int:pk>/", views_checkpoints.change, name="checkpoint"),
    path("<int:run_id>/reproduce/", views_reproduce.reproduce, name="reproduce"),
]
