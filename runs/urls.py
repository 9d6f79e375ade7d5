"""Addresses of the run pages."""

from django.urls import path

from runs import views_checkpoints, views_fleet, views_log, views_reproduce, views_verbs
from runs.charts import views as charts_views
from runs.compare import views as compare
from runs.evaluations import views as asking
from runs.listing import bulk
from runs.listing import views as listing
from runs.pages import (
    attempts,
    checkpoints,
    config,
    evaluations,
    logs,
    notes,
    overview,
    provenance,
    recipe,
    system,
)
from runs.playground import views as playground
from runs.promotion import views as promotion
from runs.samples import views as samples

app_name = "runs"
urlpatterns = [
    path("", listing.run_list, name="list"),
    path("export.csv", listing.export, {"form": "csv"}, name="export"),
    path("export.jsonl", listing.export, {"form": "jsonl"}, name="export"),
    path("views/", listing.keep_view, name="views"),
    path("chosen/", bulk.compare_chosen, name="chosen"),
    path("compare/", compare.compare, name="compare"),
    path("compare/export.csv", compare.export, name="compare-csv"),
    path("queue/", views_fleet.queue, name="queue"),
    path("act/", bulk.act_on_many, name="act-many"),
    path("<int:run_id>/", overview.overview, name="detail"),
    path("<int:run_id>/charts/", charts_views.run_charts, name="charts"),
    path("<int:run_id>/samples/", samples.samples, name="samples"),
    path("<int:run_id>/evaluations/", evaluations.evaluations, name="evaluations"),
    path("<int:run_id>/evaluate/", asking.ask, name="evaluate"),
    path("<int:run_id>/playground/", playground.playground, name="playground"),
    path("<int:run_id>/playground/<int:number>/", playground.generation, name="generation"),
    path("<int:run_id>/playground/<int:number>/stop/", playground.stop, name="stop-generation"),
    path("<int:run_id>/logs/", logs.logs, name="logs"),
    path("<int:run_id>/config/", config.config, name="config"),
    path("<int:run_id>/checkpoints/", checkpoints.checkpoints, name="checkpoints"),
    path("<int:run_id>/attempts/", attempts.attempts, name="attempts"),
    path("<int:run_id>/system/", system.system, name="system"),
    path("<int:run_id>/provenance/", provenance.provenance, name="provenance"),
    path("<int:run_id>/notes/", notes.notes, name="notes"),
    path("<int:run_id>/notes/write/", notes.write_notes, name="write-notes"),
    path("<int:run_id>/recipe/", recipe.recipe, name="recipe"),
    path("<int:run_id>/act/", views_verbs.act, name="act"),
    path("<int:run_id>/log/<int:attempt>/", views_log.download, name="log"),
    path("<int:run_id>/fork/", views_checkpoints.fork, name="fork"),
    path("<int:run_id>/checkpoints/<int:pk>/", views_checkpoints.change, name="checkpoint"),
    path("<int:run_id>/aliases/", promotion.change, name="aliases"),
    path("<int:run_id>/reproduce/", views_reproduce.reproduce, name="reproduce"),
]
