"""The admin's form of an import; what it allows comes from `ImportRequest`."""

from typing import Any

from django import forms

from datasets_app.formats import FORMATS
from datasets_app.generators import FAMILIES
from datasets_app.imports.request import AUTO, ImportRequest, make_request, parse_mapping
from datasets_app.imports.stored_upload import LARGEST_AT_ONCE


def _formats() -> list[tuple[str, str]]:
    return [(AUTO, "by the records"), *((name, f"{name}: {one.SUMMARY}") for name, one in FORMATS.items())]


def _families() -> list[tuple[str, str]]:
    named = ((name, f"{name}: {one.summary}") for name, one in FAMILIES.items())
    return [("", "as they stand in the file"), *named]


class ImportForm(forms.Form):
    """Ask for a file and how to read it."""

    file = forms.FileField(help_text="JSON lines, JSON array, CSV, Parquet or plain lines; .gz and .zst too")
    dataset = forms.CharField(max_length=100, help_text="the key that it goes into, for example gsm8k")
    format = forms.ChoiceField(choices=_formats)
    split = forms.ChoiceField(
        choices=[("", "the line's own, else by prompt"), ("train", "train"), ("test", "test")], required=False
    )
    mapping = forms.CharField(
        max_length=2000, required=False, help_text="field names, for example prompt=body,answer=target"
    )
    solve = forms.ChoiceField(
        choices=_families, required=False, label="steps", help_text="or those that a generator family writes"
    )
    source = forms.CharField(max_length=200, required=False, help_text="for lines that do not say")
    licence = forms.CharField(max_length=100, required=False, help_text="for lines that do not say")
    keep_going = forms.BooleanField(
        required=False,
        help_text="take the good lines although others are refused; more than "
        f"{LARGEST_AT_ONCE:,} traces or 1 MiB are imported in the queue",
    )

    def import_request(self) -> ImportRequest:
        """Give the import that the form asks for.

        Raises:
            InvalidInputError: for a value that makes no sense.
        """
        given: dict[str, Any] = self.cleaned_data
        return make_request(
            key=given["dataset"],
            format=given["format"],
            split=given["split"] or None,
            keep_going=given["keep_going"],
            mapping=parse_mapping(given["mapping"]),
            solve=given["solve"],
            source=given["source"],
            licence=given["licence"],
        )
