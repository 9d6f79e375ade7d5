"""The rows of a comparison: summary, dataset, config and provenance of several runs side by side."""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from runs.compare.deltas import Delta
from runs.compare.summary import summary_rows
from runs.differences import NOT_RECORDED, category_of, comparable_facts
from runs.models import Run
from training.config import TrainConfig

NONE = "–"
TITLES = {
    "summary": "Summary",
    "dataset": "Data",
    "config": "Config",
    "provenance": "What differs around them",
}


@dataclass(frozen=True, slots=True)
class Cell:
    """A fact of one run: its text, whether it is the baseline's too, and how far a figure lies from it."""

    text: str
    same: bool
    delta: Delta | None = None
    note: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """A fact of all runs; ``note`` says what it means or is about."""

    name: str
    cells: list[Cell]
    note: str = ""
    decides: bool = False

    @property
    def differs(self) -> bool:
        """Whether any run is not as the baseline."""
        return not all(cell.same for cell in self.cells)


@dataclass(frozen=True, slots=True)
class Section:
    """A part of a comparison with the rows that it shows, of ``total``; ``differing`` of them differ."""

    name: str
    title: str
    rows: list[Row]
    total: int
    differing: int
    full: bool


def sections(*, runs: Sequence[Run], baseline: Run, full: Iterable[str]) -> list[Section]:
    """Lay runs side by side, section by section; those not named in ``full`` show only what differs."""
    made = {
        "summary": _summary(runs, baseline),
        "dataset": _plain(runs, baseline, _dataset_facts),
        "config": _config(runs, baseline),
        "provenance": _provenance(runs, baseline),
    }
    wanted = frozenset(full)
    found = []
    for name, rows in made.items():
        differing = [row for row in rows if row.differs]
        shown = rows if name in wanted else differing
        found.append(Section(name, TITLES[name], shown, len(rows), len(differing), name in wanted))
    return found


def _summary(runs: Sequence[Run], baseline: Run) -> list[Row]:
    rows = []
    for fact in summary_rows(runs, baseline):
        base = fact.texts[baseline.pk]
        cells = [
            Cell(
                fact.texts[run.pk],
                # Two figures may be written alike and still differ.
                fact.texts[run.pk] == base and not _is_apart(fact.deltas.get(run.pk)),
                fact.deltas.get(run.pk),
                fact.notes.get(run.pk, ""),
            )
            for run in runs
        ]
        rows.append(Row(fact.label, cells, fact.unit))
    return rows


def _is_apart(found: Delta | None) -> bool:
    return found is not None and found.direction != "same"


def _plain(runs: Sequence[Run], baseline: Run, facts_of: Callable[[Run], dict[str, str]]) -> list[Row]:
    facts = {run.pk: facts_of(run) for run in runs}
    names = dict.fromkeys(name for run in runs for name in facts[run.pk])
    base = facts[baseline.pk]
    return [
        Row(
            name,
            [
                Cell(facts[run.pk].get(name, NONE), facts[run.pk].get(name, NONE) == base.get(name, NONE))
                for run in runs
            ],
        )
        for name in names
    ]


def _dataset_facts(run: Run) -> dict[str, str]:
    evaluation, data = run.headline, run.dataset
    graded = NONE
    if evaluation is not None:
        on = evaluation.dataset.address if evaluation.dataset else NONE
        graded = f"{on}, {evaluation.split}, n = {evaluation.n}"
    if data is None:
        return {"dataset": NONE, "graded on": graded}
    return {
        "dataset": data.key,
        "content hash": data.content_hash[:12],
        "traces": f"{data.trace_count:,}",
        "train": f"{data.train_count:,}",
        "test": f"{data.test_count:,}",
        "generator": data.generator or NONE,
        "source": data.source or NONE,
        "licence": data.licence or NONE,
        "graded on": graded,
    }


def _config(runs: Sequence[Run], baseline: Run) -> list[Row]:
    rows = []
    for row in _plain(runs, baseline, lambda run: {name: _text(value) for name, value in run.config.items()}):
        known = TrainConfig.model_fields.get(row.name)
        rows.append(Row(row.name, row.cells, (known.description or "") if known else ""))
    return rows


def _provenance(runs: Sequence[Run], baseline: Run) -> list[Row]:
    """List the recorded facts around the runs; the config has a section of its own."""
    facts = {run.pk: comparable_facts(run.provenance) for run in runs}
    base = facts[baseline.pk]
    names = {name for one in facts.values() for name in one if not name.startswith("config.")}
    rows = []
    for name in names:
        category, decides = category_of(name)
        cells, known = [], False
        for run in runs:
            own = facts[run.pk]
            # A run that has not begun recorded nothing at all: that is no difference.
            same = not own or not base or own.get(name) == base.get(name)
            known = known or (not same and name in own and name in base)
            cells.append(Cell(own.get(name, NOT_RECORDED), same))
        # Where one of the two knows nothing, nobody can tell.
        rows.append(Row(name, cells, category, decides and known))
    return sorted(rows, key=lambda row: (not row.decides, row.note, row.name))


def _text(value: Any) -> str:
    if value is None:
        return NONE
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
