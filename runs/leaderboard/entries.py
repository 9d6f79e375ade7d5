"""What stands on a board: one evaluation of each run or all of them, ranked, a page at a time."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from django.db.models.fields.json import KeyTextTransform

from runs.leaderboard.boards import Board, evaluations_here
from runs.leaderboard.ranking import Rank, ranks
from runs.models import Alias, Checkpoint, Evaluation
from runs.overlap.facts import MARKED, OverlapFacts, overlap_facts

# The picture of an interval: a share of 1 is this wide.
WIDTH: Final = 200


class Light(NamedTuple):
    """What ordering and ranks need of an evaluation."""

    pk: int
    run: int
    low: float
    high: float
    accuracy: float
    n: int
    mark: str | None
    drawn: str
    step: int


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of a board."""

    evaluation: Evaluation
    rank: Rank
    overlap: OverlapFacts
    aliases: Sequence[Alias] = ()

    @property
    def bar(self) -> dict[str, float]:
        """Lay out accuracy and interval in units of the picture."""
        row = self.evaluation
        low, high = WIDTH * row.interval_low, WIDTH * row.interval_high
        return {"share": round(WIDTH * row.answer_accuracy, 1), "low": round(low, 1), "high": round(high, 1)}

    @property
    def right_with_invalid_step(self) -> int | None:
        """Count right answers with an invalid step; None where that was not recorded."""
        return self.evaluation.right_below_invalid


@dataclass(frozen=True, slots=True)
class Standing:
    """A page of a board: entries of ``count``.

    ``marked`` evaluations overlap with training data, ``hidden`` of them are left out.
    """

    board: Board
    entries: list[Entry]
    count: int
    marked: int
    hidden: int
    unchecked: int


def standing(
    board: Board,
    *,
    every: bool = False,
    hide_overlap: bool = False,
    offset: int = 0,
    limit: int = 50,
) -> Standing:
    """Read a page of a board: one evaluation of each run, or with ``every`` all of them.

    Of a run it is the one of most prompts, and of these the newest: the best of several looks would
    flatter whoever looks often. One before the first update only where there is no other. Three queries.
    """
    rows = _light(board)
    marked = sum(row.mark in MARKED for row in rows)
    hidden = 0
    if hide_overlap:
        kept = [row for row in rows if row.mark not in MARKED]
        hidden, rows = len(rows) - len(kept), kept
    if not every:
        rows = _one_of_each_run(rows)
    rows.sort(key=lambda row: (-row.accuracy, -row.low, -row.n, row.pk))
    places = ranks([(row.low, row.high) for row in rows])
    shown = list(zip(rows, places, strict=True))[offset : offset + limit]
    return Standing(
        board=board,
        entries=_in_full(board, shown),
        count=len(rows),
        marked=marked,
        hidden=hidden,
        unchecked=sum(row.mark is None or row.mark == "unchecked" for row in rows),
    )


def _light(board: Board) -> list[Light]:
    rows = evaluations_here().filter(
        dataset=board.dataset,
        split=board.split,
        grader=board.grader,
        grader_version=board.grader_version,
        draws=board.draws,
    )
    light = rows.annotate(mark=KeyTextTransform("mark", "overlap")).values_list(
        "pk", "run_id", "interval_low", "interval_high", "answer_accuracy", "n", "mark", "drawn", "step"
    )
    return [row for row in map(Light._make, light) if row.drawn in board.raw]


def _one_of_each_run(rows: Sequence[Light]) -> list[Light]:
    chosen: dict[int, Light] = {}
    for row in sorted(rows, key=lambda row: (row.step > 0, row.n, row.step, row.pk)):
        chosen[row.run] = row
    return list(chosen.values())


def _in_full(board: Board, shown: Sequence[tuple[Light, Rank]]) -> list[Entry]:
    wanted = [row.pk for row, _ in shown]
    full = (
        Evaluation.objects.select_related("run")
        .defer("run__provenance", "run__params", "run__result", "run__notes", "run__error", "run__origin")
        .in_bulk(wanted)
    )
    named = _aliases(board, list(full.values()))
    found = []
    for light, rank in shown:
        row = full.get(light.pk)
        if row is not None:
            found.append(Entry(row, rank, overlap_facts(row.overlap), named[row.pk]))
    return found


def _aliases(board: Board, rows: Sequence[Evaluation]) -> dict[int, list[Alias]]:
    """Find the names of the board's dataset that point at what was graded, by evaluation.

    A step is not enough: a resume writes another model at the step of the one that it overtook. It counts
    where nothing else is recorded, and only for a checkpoint that is not overtaken.
    """
    here = Alias.objects.filter(scope=board.dataset.key, checkpoint__run__in={row.run_id for row in rows})
    aliases = list(here.select_related("checkpoint"))
    return {row.pk: [alias for alias in aliases if _is_of(alias.checkpoint, row)] for row in rows}


def _is_of(checkpoint: Checkpoint | None, row: Evaluation) -> bool:
    if checkpoint is None or row.checkpoint_id:
        return checkpoint is not None and checkpoint.pk == row.checkpoint_id
    return (checkpoint.run_id, checkpoint.step, checkpoint.superseded) == (row.run_id, row.step, False)


def describe(entry: Entry) -> dict[str, Any]:
    """Give an entry as plain data, as the API sends it."""
    row = entry.evaluation
    same = (
        "step split n correct answer_accuracy step_accuracy majority_accuracy format_rate loss draws pass_at "
        "generated_tokens seconds final created_at"
    )
    return {
        **{name: getattr(row, name) for name in same.split()},
        "evaluation": row.pk,
        "run_id": row.run_id,
        "run_name": row.run.name,
        "model": str(row.run.config.get("model", "")),
        "made_by": row.made_by_id,
        "rank": str(entry.rank),
        "rank_best": entry.rank.best,
        "rank_worst": entry.rank.worst,
        "interval": (row.interval_low, row.interval_high),
        "right_with_invalid_step": entry.right_with_invalid_step,
        "overlap": entry.overlap.mark,
        "overlap_prompts": entry.overlap.trace + entry.overlap.prompt,
        "overlap_ngrams": entry.overlap.ngram,
        "aliases": [str(alias) for alias in entry.aliases],
        "url": row.run.get_absolute_url(),
    }
