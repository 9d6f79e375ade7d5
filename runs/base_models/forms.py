"""The form that asks for a model of the hub, on the page and in the admin."""

from django import forms
from django.core.validators import RegexValidator

from runs.base_models.queue import enqueue_import
from runs.base_models.schemas import REVISION
from runs.models import ModelImport
from runs.services import Actor


class ImportForm(forms.Form):
    """Which model to import from the hub."""

    repository = forms.CharField(
        max_length=200, help_text="OWNER/NAME on the hub, for example Qwen/Qwen3-0.6B"
    )
    revision = forms.CharField(
        max_length=100,
        required=False,
        validators=[RegexValidator(REVISION)],
        help_text="branch, tag or commit; empty: main",
    )
    name = forms.CharField(
        max_length=80, required=False, help_text="what recipes call it; empty: after the repository"
    )

    def enqueue(self, actor: Actor) -> ModelImport:
        """Put the import into the queue.

        Raises:
            UserError: when it cannot be asked for.
        """
        given = self.cleaned_data
        return enqueue_import(
            repository=given["repository"], revision=given["revision"], name=given["name"], actor=actor
        )
