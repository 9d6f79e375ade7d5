"""Forms of the admin; what they allow comes from the generators and from `BuildRequest`."""

from typing import Any

from django import forms

from datasets_app.build_request import BuildRequest, TraceFilters
from datasets_app.builds import LARGEST_AT_ONCE
from datasets_app.generators import GENERATORS
from datasets_app.generators.specs import MAX_COUNT, MAX_SEED


def _generator_choices() -> list[tuple[str, str]]:
    return [(key, f"{key}: {spec.summary}") for key, spec in GENERATORS.items()]


class SeedForm(forms.Form):
    """Ask for a generated dataset."""

    dataset = forms.ChoiceField(choices=_generator_choices)
    count = forms.IntegerField(
        min_value=1,
        max_value=MAX_COUNT,
        required=False,
        help_text=f"empty: the dataset's own; more than {LARGEST_AT_ONCE:,} are built in the queue",
    )
    seed = forms.IntegerField(min_value=0, max_value=MAX_SEED, initial=0)

    def build_request(self) -> BuildRequest:
        """Give the build that the form asks for."""
        name, _, version = str(self.cleaned_data["dataset"]).rpartition("-")
        return BuildRequest(
            dataset_name=name,
            dataset_version=version,
            count=self.cleaned_data["count"],
            seed=self.cleaned_data["seed"],
        )


class BuildForm(forms.Form):
    """Ask for a dataset chosen from stored traces."""

    dataset_name = forms.CharField(max_length=60, help_text="first part of the key, for example mine")
    dataset_version = forms.CharField(max_length=30, initial="v1", help_text="second part of the key")
    source = forms.CharField(max_length=200, required=False, help_text="only traces of this source, exactly")
    family = forms.CharField(max_length=64, required=False, help_text="only traces of this family, exactly")
    dataset = forms.CharField(
        max_length=200, required=False, help_text="only traces of this dataset: KEY[@HASH]"
    )
    tag = forms.CharField(max_length=200, required=False, help_text="only traces with this in meta.tags")
    licence = forms.CharField(max_length=100, required=False, help_text="only traces under it, exactly")
    split = forms.ChoiceField(choices=[("", "any"), ("train", "train"), ("test", "test")], required=False)
    min_bytes = forms.IntegerField(min_value=0, required=False, help_text="shortest, in UTF-8 bytes")
    max_bytes = forms.IntegerField(min_value=0, required=False, help_text="longest, in UTF-8 bytes")
    min_steps = forms.IntegerField(min_value=0, required=False, help_text="fewest steps")
    max_steps = forms.IntegerField(min_value=0, required=False, help_text="most steps")
    created_after = forms.DateTimeField(required=False, help_text="stored at or after, 2026-01-31 12:00")
    created_before = forms.DateTimeField(required=False, help_text="stored before")
    limit = forms.IntegerField(min_value=1, max_value=MAX_COUNT, required=False, help_text="empty: all")
    selection_strategy = forms.ChoiceField(choices=[("latest", "latest"), ("random", "random, by seed")])
    seed = forms.IntegerField(min_value=0, max_value=MAX_SEED, initial=0)

    def build_request(self) -> BuildRequest:
        """Give the build that the form asks for.

        Raises:
            pydantic.ValidationError: for a name that cannot be a key.
        """
        given: dict[str, Any] = dict(self.cleaned_data)
        names = [name for name in TraceFilters.model_fields if name in given]
        filters = {name: given.pop(name) for name in names}
        chosen = {name: value for name, value in filters.items() if value not in (None, "")}
        return BuildRequest.model_validate(given | {"filters": chosen})
