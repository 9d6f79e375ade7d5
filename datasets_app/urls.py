"""The addresses of the dataset pages."""

from django.urls import path

from datasets_app import views

app_name = "datasets"

urlpatterns = [
    path("", views.dataset_list, name="list"),
    path("<str:address>/", views.dataset_detail, name="detail"),
]
