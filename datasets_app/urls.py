"""The addresses of the dataset pages."""

from django.urls import path

from datasets_app import views, views_imports, views_quality, views_traces

app_name = "datasets"

urlpatterns = [
    path("", views.dataset_list, name="list"),
    path("compare/", views_quality.comparison, name="compare"),
    path("imports/<int:import_id>/", views_imports.import_detail, name="import"),
    path("imports/<int:import_id>/cancel/", views_imports.cancel, name="cancel_import"),
    path("imports/<int:import_id>/confirm/", views_imports.confirm, name="confirm_import"),
    path("<str:address>/", views.dataset_detail, name="detail"),
    path("<str:address>/quality/", views_quality.quality, name="quality"),
    path("<str:address>/quality/make/", views_quality.make_report, name="make_report"),
    path("<str:address>/quality/<int:report_id>/cancel/", views_quality.cancel_report, name="cancel_report"),
    path("<str:address>/traces/", views_traces.browser, name="traces"),
    path("<str:address>/traces/<int:position>/", views_traces.one_trace, name="trace"),
]
