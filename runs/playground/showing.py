"""One generation, or two side by side, as pages and the API show them."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from django.db.models import Q, QuerySet

from datasets_app.graders import default_grader
from runs.base_models.bounded import parser
from runs.models import Generation, Run
from runs.playground.asking import FIELDS
from runs.playground.reading import Reading, differing, read_text
from runs.playground.standing import Standing, standing
from runs.samples.diffing import StepRow, step_rows
from runs.states import Kind
from runs.waiting import Scene
from training.config import make_config
from training.decoding import Decoding
from tunix_site.errors import NotFoundError

STATE = Generation.State
WITH: Final = ("run", "run__dataset", "session__run", "owner", "beside__run", "partner__run")


@dataclass(frozen=True, slots=True)
class Column:
    """A generation with what stands in it; ``rows`` lay its steps beside what is expected, or the other's."""

    row: Generation
    standing: Standing
    reading: Reading
    rows: list[StepRow]

    @property
    def seconds(self) -> float | None:
        """From being taken up to its end, None before that."""
        if self.row.started_at is None or self.row.ended_at is None:
            return None
        return (self.row.ended_at - self.row.started_at).total_seconds()

    @property
    def first_text_s(self) -> float | None:
        """From being asked to the first text, None before that."""
        if self.row.first_text_at is None:
            return None
        return (self.row.first_text_at - self.row.created_at).total_seconds()

    @property
    def words(self) -> str:
        """Say how it stands, for those who hear the page."""
        if self.standing.state == STATE.DONE:
            return f"done: {self.reading.words}"
        return f"{self.standing.state}: {self.standing.waiting or self.standing.reason}".rstrip(": ")


@dataclass(frozen=True, slots=True)
class Pair:
    """What was asked for together: one column or two."""

    columns: list[Column]

    @property
    def first(self) -> Generation:
        """The generation whose number its address has."""
        return self.columns[0].row

    @property
    def open(self) -> bool:
        """Whether more is to come."""
        return any(column.standing.open for column in self.columns)

    @property
    def title(self) -> str:
        """Say what it is now."""
        if any(column.standing.state == STATE.WRITING for column in self.columns):
            return "Being written"
        return "Waiting" if self.open else "What it wrote"

    @property
    def differing(self) -> int:
        """How many steps differ between the two; 0 of a single one."""
        return differing(*(one.reading.steps for one in self.columns)) if len(self.columns) == 2 else 0

    @property
    def settings(self) -> list[tuple[str, object, str]]:
        """Name, value and meaning of each setting."""
        fields = Decoding.model_fields
        return [
            (name, self.first.decoding.get(name, fields[name].default), fields[name].description or "")
            for name in FIELDS
        ]

    @property
    def mark(self) -> str:
        """Changes whenever anything of it does that a page shows."""
        shown = [
            (one.standing.state, one.standing.reason, one.standing.waiting, len(one.row.text), one.row.tokens)
            for one in self.columns
        ]
        return hashlib.sha256(repr(shown).encode()).hexdigest()[:16]


def generations_of(run: Run) -> QuerySet[Generation]:
    """List what was asked of a run's model, or written by a session, the newest first.

    Of two that were asked for together each stands with its own run.
    """
    rows = Generation.objects.select_related(*WITH).order_by("-pk")
    return rows.filter(session=run.pk) if run.kind == Kind.PLAYGROUND else rows.filter(run=run)


def find_generation(run: Run, number: int) -> Generation:
    """Find a generation of a run.

    Raises:
        NotFoundError: where this run has none of this number.
    """
    row = Generation.objects.select_related(*WITH).filter(pk=number, run=run).first()
    if row is None:
        raise NotFoundError(f"Run {run.pk} has no generation {number}.")
    return row


def read_column(row: Generation, *, scene: Scene | None = None) -> Column:
    """Read one generation by itself."""
    stands, reading = standing(row, scene=scene), _read(row)
    if not stands.open and not reading.problem and not row.finished:
        reading = _read(row, ended=True)
    return Column(
        row, stands, reading, step_rows(reading.steps, reading.valid, row.expected_steps, before=None)
    )


def read_pair(row: Generation) -> Pair:
    """Read a generation with the one that was asked for together with it, the first one first."""
    first = row.beside_id or row.pk
    rows = Generation.objects.select_related(*WITH).filter(Q(pk=first) | Q(beside=first)).order_by("pk")
    scene = Scene()
    columns = [read_column(one, scene=scene) for one in rows]
    if len(columns) == 2:
        columns = [_beside(columns[0], columns[1]), _beside(columns[1], columns[0])]
    return Pair(columns)


def read_columns(rows: Sequence[Generation]) -> list[Column]:
    """Read several generations for a list."""
    scene = Scene()
    return [read_column(row, scene=scene) for row in rows]


def _beside(column: Column, other: Column) -> Column:
    """Say at each step what stands there in the other text."""
    row, reading = column.row, column.reading
    rows = step_rows(reading.steps, reading.valid, row.expected_steps, before=other.reading.steps)
    return Column(row, column.standing, reading, rows)


def _read(row: Generation, *, ended: bool = False) -> Reading:
    dataset = row.run.dataset
    return read_text(
        row.text,
        prompt=row.prompt,
        family=row.family,
        expected=row.expected_answer,
        finished=row.finished,
        ended=ended,
        grader=default_grader(dataset) if dataset else "",
        # Generated tasks have rules of their own, such as a modulus.
        arithmetic=dataset is not None and dataset.recipe.get("kind") == "import",
        parse=parser(make_config(row.run.config)),
    )
