"""The prompts that several evaluations hold, by who answered them right, and some of them in full."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from django.db.models import Case, Count, IntegerField, Min, Q, Sum, Value, When

from runs.models import Evaluation, Run, Sample
from runs.samples.diffing import StepRow, step_rows


@dataclass(frozen=True, slots=True)
class Prompt:
    """How one prompt came out over evaluations; ``base`` is the baseline's verdict, None: it has none."""

    trace_hash: str
    held: int
    graded: int
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


def read_prompts(*, evaluations: Sequence[Evaluation], baseline: Evaluation | None) -> list[Prompt]:
    """Read the verdicts on every prompt of evaluations, with one query; those that most hold come first."""
    number = IntegerField()
    own = baseline.pk if baseline else 0
    right = When(correct=True, then=Value(1))
    base_right = Case(
        When(evaluation=own, correct=True, then=Value(1)), default=Value(0), output_field=number
    )
    base_there = Case(When(evaluation=own, then=Value(1)), default=Value(0), output_field=number)
    rows = (
        Sample.objects.filter(evaluation__in=evaluations)
        .order_by()
        .values("trace_hash")
        .annotate(
            held=Count("evaluation", distinct=True),
            graded=Count("pk"),
            right=Sum(Case(right, default=Value(0), output_field=number)),
            base_right=Sum(base_right),
            base_there=Sum(base_there),
            first=Min("position", filter=Q(evaluation=own)),
            any_first=Min("position"),
        )
        .values_list(
            "trace_hash", "held", "graded", "right", "base_right", "base_there", "first", "any_first"
        )
    )
    found = [
        (
            (-held, any_first if first is None else first, trace_hash),
            Prompt(trace_hash, held, graded, answered, base_right > 0 if there else None),
        )
        for trace_hash, held, graded, answered, base_right, there, first, any_first in rows
    ]
    return [prompt for _, prompt in sorted(found, key=lambda pair: pair[0])]


def _filters(runs: int) -> dict[str, Callable[[Prompt], bool]]:
    return {
        "disagree": lambda one: 0 < one.right < one.graded,
        "baseline_right": lambda one: one.base is True and one.right < one.graded,
        "baseline_wrong": lambda one: one.base is False and one.right > 0,
        "all_wrong": lambda one: one.held > 1 and one.right == 0,
        "all_right": lambda one: one.held > 1 and one.right == one.graded,
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
    rows = Sample.objects.filter(
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
