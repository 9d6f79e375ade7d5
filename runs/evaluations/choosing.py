"""Choices among the texts of an evaluation."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from django.db.models import Q, QuerySet

from runs.models import Evaluation, Sample

ChoiceName = Literal["all", "right", "wrong", "right_invalid_step", "wrong_step", "bad_format", "unfinished"]


@dataclass(frozen=True, slots=True)
class TextChoice:
    """A choice of texts by their verdicts."""

    name: str
    label: str
    fits: Q


_ALL: Final = (
    TextChoice("all", "All", Q()),
    TextChoice("wrong", "Wrong answer", Q(correct=False)),
    TextChoice("right_invalid_step", "Right answer, invalid step", Q(correct=True, invalid_step=True)),
    TextChoice("wrong_step", "A wrong step", Q(invalid_step=True)),
    TextChoice("bad_format", "Bad format", Q(checks__format=False)),
    TextChoice("unfinished", "Cut off", Q(finished=False)),
    TextChoice("right", "Right answer", Q(correct=True)),
)
CHOICES: Final[Mapping[str, TextChoice]] = {one.name: one for one in _ALL}


def texts_of(evaluation: Evaluation, choice: str = "all") -> QuerySet[Sample]:
    """List the texts of an evaluation that fit a choice, prompt by prompt and draw by draw."""
    rows = Sample.objects.filter(evaluation=evaluation).filter(CHOICES[choice].fits)
    return rows.order_by("position", "draw")


def count_choices(evaluation: Evaluation) -> dict[str, int]:
    """Count what each choice would show."""
    rows = Sample.objects.filter(evaluation=evaluation).order_by()
    return {name: rows.filter(one.fits).count() for name, one in CHOICES.items()}
