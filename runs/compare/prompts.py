"""The prompts that several evaluations hold, by who answered them right, and some of them in full."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from runs.compare.grades import Grades
from runs.models import Run, Sample
from runs.samples.diffing import StepRow, step_rows
from runs.samples.prompts import first_texts


@dataclass(frozen=True, slots=True)
class Prompt:
    """How one prompt came out over evaluations; ``base`` is the baseline's verdict, None: it has none."""

    trace_hash: str
    held: int
    right: int
    base: bool | None


@dataclass(frozen=True, slots=True)
class Column:
    """One run's sample of a prompt; None where its evaluation does not hold it."""

    run: Run
    sample: Sample | None
    steps: list[StepRow]


@dataclass(frozen=True, slots=True)
class SideBySide:
    """One prompt with what each run wrote to it."""

    prompt: str
    expected: str
    trace_hash: str
    columns: list[Column]


def list_prompts(grades: Sequence[Grades], baseline: Grades | None) -> list[Prompt]:
    """List every prompt of some evaluations, those that most of them hold first, then by their place."""
    held: dict[str, int] = {}
    right: dict[str, int] = {}
    place: dict[str, int] = {}
    for one in grades:
        for trace_hash, correct in one.right.items():
            held[trace_hash] = held.get(trace_hash, 0) + 1
            right[trace_hash] = right.get(trace_hash, 0) + correct
            place.setdefault(trace_hash, one.position[trace_hash])
    own = baseline or Grades()
    place |= own.position
    order = sorted(held, key=lambda one: (-held[one], place[one], one))
    return [Prompt(one, held[one], right[one], own.right.get(one)) for one in order]


def _filters(runs: int) -> dict[str, Callable[[Prompt], bool]]:
    return {
        "disagree": lambda one: 0 < one.right < one.held,
        "baseline_right": lambda one: one.base is True and one.right < one.held,
        "baseline_wrong": lambda one: one.base is False and one.right > 0,
        "all_wrong": lambda one: one.held > 1 and one.right == 0,
        "all_right": lambda one: one.held > 1 and one.right == one.held,
        "lacking": lambda one: one.held < runs,
        "all": lambda _: True,
    }


FILTER_NAMES: Final = tuple(_filters(0))


def choose(prompts: Sequence[Prompt], name: str, *, runs: int) -> list[Prompt]:
    """Keep the prompts that fit a filter; ``runs`` is how many evaluations are compared."""
    return list(filter(_filters(runs)[name], prompts))


def count_each(prompts: Sequence[Prompt], *, runs: int) -> dict[str, int]:
    """Count what each filter would show."""
    return {name: sum(map(fits, prompts)) for name, fits in _filters(runs).items()}


def side_by_side(*, runs: Sequence[Run], prompts: Sequence[Prompt]) -> list[SideBySide]:
    """Read what each run wrote to some prompts, with one query; runs without an evaluation are left out."""
    graded = [run for run in runs if run.headline is not None]
    rows = first_texts().filter(
        evaluation__in=[run.headline for run in graded], trace_hash__in=[one.trace_hash for one in prompts]
    )
    held = {(row.evaluation_id, row.trace_hash): row for row in rows.order_by("-position")}
    found = []
    for prompt in prompts:
        columns = []
        for run in graded:
            sample = held.get((run.headline.pk if run.headline else 0, prompt.trace_hash))
            steps = (
                step_rows(sample.generated_steps, sample.steps_valid, sample.expected_steps, None)
                if sample
                else []
            )
            columns.append(Column(run, sample, steps))
        any_sample = next(column.sample for column in columns if column.sample)
        found.append(SideBySide(any_sample.prompt, any_sample.expected_answer, prompt.trace_hash, columns))
    return found
