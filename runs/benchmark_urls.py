"""Addresses of the benchmark pages."""

from django.urls import path

from runs.benchmarks import views

app_name = "benchmarks"
urlpatterns = [
    path("", views.benchmark_list, name="list"),
    path("compare/", views.benchmark_compare, name="compare"),
    path("<int:number>/", views.benchmark_detail, name="detail"),
]
