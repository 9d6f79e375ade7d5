"""Whether the words of a dataset's traces can be searched yet."""

from typing import ClassVar

from django.db import models
from django.utils import timezone

from datasets_app.models.content import Dataset


class SearchIndex(models.Model):
    """The full-text index of one dataset; the words themselves lie in a table of the database's own kind."""

    dataset = models.OneToOneField(
        Dataset, on_delete=models.CASCADE, primary_key=True, related_name="search_index"
    )
    ready = models.BooleanField(default=False)
    done_until = models.PositiveIntegerField(default=0, help_text="the next position to index")
    updated_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        ordering: ClassVar = ["dataset"]

    def __str__(self) -> str:
        return f"index of {self.dataset_id}: {'ready' if self.ready else f'pending from {self.done_until}'}"


class DatasetFacts(models.Model):
    """What counting all traces of a dataset gives; kept, for its content never changes."""

    dataset = models.OneToOneField(Dataset, on_delete=models.CASCADE, primary_key=True, related_name="facts")
    families = models.JSONField(default=dict, help_text="traces by family")
    provenance = models.JSONField(default=list, help_text="traces by source and licence")
    tokens = models.JSONField(default=dict, help_text="lengths in tokens: prompt, steps, answer, total")

    class Meta:
        ordering: ClassVar = ["dataset"]

    def __str__(self) -> str:
        return f"facts of dataset {self.dataset_id}"
