"""The runs app: jobs on devices, and what they leave behind."""

from django.apps import AppConfig


class RunsConfig(AppConfig):
    """Configuration of the runs app."""

    name = "runs"
    verbose_name = "Runs"
