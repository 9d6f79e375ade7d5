"""The app's place in Django."""

from django.apps import AppConfig


class DatasetsConfig(AppConfig):
    """Traces, datasets, generators, formats."""

    name = "datasets_app"
    verbose_name = "Datasets"
