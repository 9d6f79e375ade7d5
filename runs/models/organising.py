"""How people order their runs: tags, and lists that they come back to."""

from django.conf import settings
from django.core.validators import RegexValidator
from django.db import models


class Tag(models.Model):
    """A word that people put on runs."""

    name = models.CharField(
        max_length=40,
        unique=True,
        validators=[RegexValidator(r"^[\w.+/-]+\Z", "Write letters, digits and . + / - _ alone.")],
    )

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class SavedView(models.Model):
    """A list of runs that somebody keeps: its search, columns, order and groups, as its address has them."""

    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="saved_views")
    name = models.CharField(max_length=80)
    query = models.CharField(max_length=2000, blank=True, help_text="what follows ? in the address")
    shared = models.BooleanField(default=False, help_text="everybody sees it")
    default = models.BooleanField(default=False, help_text="what its owner sees first")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["name", "id"]
        constraints = [
            models.UniqueConstraint(fields=["owner", "name"], name="one_view_a_name"),
            models.UniqueConstraint(
                fields=["owner"], condition=models.Q(default=True), name="one_default_view"
            ),
        ]

    def __str__(self) -> str:
        return self.name
