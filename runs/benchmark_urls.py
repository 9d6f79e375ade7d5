"""Address of the benchmark page."""

from django.urls import path

from runs import views

app_name = "benchmarks"
urlpatterns = [path("", views.benchmark_list, name="list")]
