"""The app's place in Django."""

from django.apps import AppConfig


class DatasetsConfig(AppConfig):
    """Traces, datasets, generators, formats."""

    name = "datasets_app"
    verbose_name = "Datasets"

    def ready(self) -> None:
        """Let `flush` empty the search index too."""
        from django.db.models.signals import post_migrate

        from datasets_app.search import forget_flushed

        post_migrate.connect(forget_flushed, sender=self)
