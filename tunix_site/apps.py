"""The site's own app: tokens, audit, checks."""

from django.apps import AppConfig


class TunixSiteConfig(AppConfig):
    """Registers the system checks at start."""

    name = "tunix_site"
    verbose_name = "Site"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Import the checks, which registers them."""
        from tunix_site import checks  # noqa: F401  # imported for its effect
