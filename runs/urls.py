"""Addresses of the run pages."""

from django.urls import path

from runs import views, views_checkpoints, views_fleet, views_log, views_reproduce, views_verbs
from runs.listing import bulk
from runs.listing import views as listing

app_name = "runs"
urlpatterns = [
    path("", listing.run_list, name="list"),
    path("export.csv", listing.export, {"form": "csv"}, name="export"),
    path("export.jsonl", listing.export, {"form": "jsonl"}, name="export"),
    path("views/", listing.keep_view, name="views"),
    path("chosen/", bulk.compare_chosen, name="chosen"),
    path("compare/", views.compare, name="compare"),
    path("queue/", views_fleet.queue, name="queue"),
    path("act/", bulk.act_on_many, name="act-many"),
    path("<int:run_id>/", views.run_detail, name="detail"),
    path("<int:run_id>/act/", views_verbs.act, name="act"),
    path("<int:run_id>/log/<int:attempt>/", views_log.download, name="log"),
    path("<int:run_id>/fork/", views_checkpoints.fork, name="fork"),
    path("<int:run_id>/checkpoints/<int:pk>/", views_checkpoints.change, name="checkpoint"),
    path("<int:run_id>/reproduce/", views_reproduce.reproduce, name="reproduce"),
]
