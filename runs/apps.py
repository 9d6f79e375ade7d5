"""The runs app: jobs on devices, and what they leave behind."""

from pathlib import Path

from django.apps import AppConfig
from django.conf import settings

from training import bases


class RunsConfig(AppConfig):
    """Configuration of the runs app."""

    name = "runs"
    verbose_name = "Runs"

    def ready(self) -> None:
        """Tell the training core where this site keeps its base models."""
        bases.use_root(lambda: Path(settings.TUNIX_ARTIFACTS_DIR) / "models")
