"""The texts behind the verdicts: rows of the page's table, one prompt in full, the same prompt elsewhere."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from runs.models import Evaluation, Run, Sample
from runs.samples.diffing import Piece, StepRow, diff_words, step_rows
from runs.samples.prompts import first_texts
from runs.samples.verdicts import Verdict
from tunix_site.errors import InvalidInputError

MAX_WITH = 20
MAX_TEXTS = 1 + 64


@dataclass(frozen=True, slots=True)
class Cell:
    """How a prompt came out in one evaluation: ``state`` is right, invalid, wrong or absent."""

    state: str
    words: str


CELLS = {
    "right": Cell("right", "right"),
    "invalid": Cell("invalid", "right, with an invalid step"),
    "wrong": Cell("wrong", "wrong"),
    "absent": Cell("absent", "not there"),
}


@dataclass(frozen=True, slots=True)
class MatrixRow:
    """A prompt of the table and how it came out in each evaluation shown."""

    verdict: Verdict
    prompt: str
    cells: list[Cell]


@dataclass(frozen=True, slots=True)
class Moment:
    """A prompt in one evaluation of its history; ``same_text`` is None where nothing came before."""

    evaluation: Evaluation
    cell: Cell
    answer: str | None
    valid_steps: int
    checked_steps: int
    steps: int
    same_text: bool | None


@dataclass(frozen=True, slots=True)
class Detail:
    """One prompt of one evaluation in full, and beside the evaluation before that holds it.

    ``others`` are the further texts where it has several.
    """

    sample: Sample
    verdict: Verdict
    before: Sample | None
    steps: list[StepRow]
    text: list[Piece]
    others: list[Sample]

    @property
    def changed_steps(self) -> int:
        """How many steps are not as they were."""
        return sum(row.change in {"changed", "new", "gone"} for row in self.steps)

    @property
    def same_text(self) -> bool:
        """Whether the model wrote the very same text as before."""
        return self.before is not None and self.before.generated_text == self.sample.generated_text


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """The same prompt in another run; ``sample`` is None where no evaluation of it holds the prompt."""

    run: Run
    sample: Sample | None
    steps: list[StepRow]


def cell_of(correct: bool, invalid_step: bool) -> Cell:
    """Say how a sample came out."""
    return CELLS[("invalid" if invalid_step else "right") if correct else "wrong"]


def matrix(
    *, evaluation: Evaluation, line: Sequence[Evaluation], verdicts: Sequence[Verdict]
) -> list[MatrixRow]:
    """Read the rows of a page: their prompts, and their verdicts in every evaluation of a line."""
    positions = [one.position for one in verdicts]
    prompts = dict(
        first_texts().filter(evaluation=evaluation, position__in=positions).values_list("position", "prompt")
    )
    rows = first_texts().filter(evaluation__in=line, trace_hash__in=[one.trace_hash for one in verdicts])
    cells = {
        (trace_hash, pk): cell_of(right, flawed)
        for pk, trace_hash, right, flawed in rows.order_by().values_list(
            "evaluation_id", "trace_hash", "right", "flawed"
        )
    }
    return [
        MatrixRow(
            one,
            prompts.get(one.position, ""),
            [cells.get((one.trace_hash, row.pk), CELLS["absent"]) for row in line],
        )
        for one in verdicts
    ]


def read_detail(*, evaluation: Evaluation, verdict: Verdict) -> Detail:
    """Read one prompt of an evaluation and what the model wrote to it before."""
    texts = Sample.objects.filter(evaluation=evaluation, position=verdict.position).order_by("draw")
    sample, *others = texts[:MAX_TEXTS]
    before = None
    if verdict.before_evaluation is not None:
        rows = first_texts().filter(evaluation=verdict.before_evaluation, trace_hash=verdict.trace_hash)
        before = rows.select_related("evaluation").order_by("position").first()
    return Detail(
        sample,
        verdict,
        before,
        step_rows(
            sample.generated_steps,
            sample.steps_valid,
            sample.expected_steps,
            before.generated_steps if before else None,
        ),
        diff_words(before.generated_text, sample.generated_text) if before else [],
        others,
    )


def history(*, line: Sequence[Evaluation], trace_hash: str) -> list[Moment]:
    """Follow one prompt through the evaluations of a line that hold it."""
    rows = first_texts().filter(evaluation__in=line, trace_hash=trace_hash).order_by("-position")
    by_evaluation = {row.evaluation_id: row for row in rows}
    moments: list[Moment] = []
    last: Sample | None = None
    for evaluation in line:
        sample = by_evaluation.get(evaluation.pk)
        if sample is None:
            continue
        checked = [valid for valid in sample.steps_valid if valid is not None]
        moments.append(
            Moment(
                evaluation,
                cell_of(sample.right, sample.flawed),
                sample.answer,
                sum(checked),
                len(checked),
                len(sample.generated_steps),
                None if last is None else last.generated_text == sample.generated_text,
            )
        )
        last = sample
    return moments


def read_numbers(text: str, *, most: int, what: str) -> list[int]:
    """Read run numbers out of ``1,2 3``, each once, in order.

    Raises:
        InvalidInputError: for anything else, and for more than ``most``.
    """
    words = text.replace(",", " ").split()
    bad = next((one for one in words if not (one.isascii() and one.isdecimal() and len(one) < 19)), None)
    if bad is not None:
        raise InvalidInputError(f"{what}={bad[:40]!r} is no run.", hint="Write numbers of runs: 3,7.")
    numbers = list(dict.fromkeys(int(one) for one in words))
    if len(numbers) > most:
        raise InvalidInputError(f"{what} names {len(numbers)} runs.", hint=f"At most {most} fit.")
    return numbers


def elsewhere(*, runs: Sequence[Run], trace_hash: str) -> list[Elsewhere]:
    """Find a prompt in the newest evaluation of each run that holds it, in the order of the runs."""
    newest = newest_with(runs=[run.pk for run in runs], trace_hash=trace_hash)
    rows = Sample.objects.filter(pk__in=newest.values()).select_related("evaluation", "evaluation__dataset")
    by_id = rows.in_bulk()
    found = []
    for run in runs:
        sample = by_id.get(newest.get(run.pk, 0))
        steps = (
            step_rows(sample.generated_steps, sample.steps_valid, sample.expected_steps, None)
            if sample
            else []
        )
        found.append(Elsewhere(run, sample, steps))
    return found


def newest_with(*, runs: Iterable[int], trace_hash: str) -> dict[int, int]:
    """Number each run's sample of a prompt in its newest evaluation, overtaken ones aside, that holds it."""
    rows = (
        first_texts()
        .filter(
            evaluation__in=Evaluation.objects.filter(run__in=list(runs), superseded=False)
            .order_by()
            .values("pk"),
            trace_hash=trace_hash,
        )
        .order_by("evaluation__step", "evaluation_id", "-position")
        .values_list("evaluation__run_id", "pk")
    )
    return dict(rows)
