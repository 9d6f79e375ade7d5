"""What the texts of one evaluation add up to: checks, and the first wrong step of each."""

from collections import Counter
from dataclasses import dataclass
from typing import Any, Final

from runs.models import Evaluation, Sample
from training.grading import wilson_interval
from training.grading.checks import CHECKS

# More texts than a page would wait for are told from so many of them.
MOST_READ: Final = 50_000
MOST_BARS: Final = 60


@dataclass(frozen=True, slots=True)
class Check:
    """How many texts passed one check, of those that had something to check.

    ``independent``: each text is of a prompt of its own, as an interval wants it.
    """

    name: str
    about: str
    passed: int
    failed: int
    nothing: int
    independent: bool = True

    @property
    def checked(self) -> int:
        """Texts that had something to check."""
        return self.passed + self.failed

    @property
    def share(self) -> float | None:
        """Share that passed."""
        return self.passed / self.checked if self.checked else None

    @property
    def interval(self) -> tuple[float, float] | None:
        """The 95 % Wilson interval of the share; None where texts share prompts, or none was checked.

        Texts after the same prompt are right and wrong together, so that it would come out too narrow.
        """
        if not self.independent or not self.checked:
            return None
        return wilson_interval(self.passed, self.checked)


@dataclass(frozen=True, slots=True)
class Findings:
    """What was found in the texts: by check, and by the index of the first wrong step.

    ``read`` of ``texts`` were looked at; ``with_steps`` had a step that a checker knows.
    """

    texts: int
    read: int
    with_steps: int
    checks: list[Check]
    first_wrong: list[int]
    later: int

    @property
    def wrong_somewhere(self) -> int:
        """Texts with a wrong step."""
        return sum(self.first_wrong) + self.later

    def histogram(self) -> dict[str, Any]:
        """Give the first wrong steps as ``static/js/bar-chart.js`` draws them, counted from 1."""
        return {"start": 1, "width": 1, "counts": self.first_wrong}


def findings_of(evaluation: Evaluation) -> Findings:
    """Read the verdicts of an evaluation's texts, without the texts."""
    rows = Sample.objects.filter(evaluation=evaluation).order_by("position", "draw")
    texts = rows.count()
    outcomes: dict[str, Counter[bool | None]] = {}
    wrong: Counter[int] = Counter()
    with_steps = 0
    light = rows.values_list("checks", "steps_valid", "first_wrong_step")[:MOST_READ]
    for checks, steps_valid, first in light.iterator(chunk_size=5000):
        for name, outcome in checks.items():
            outcomes.setdefault(name, Counter())[outcome] += 1
        with_steps += any(valid is not None for valid in steps_valid)
        # Rows from before it was recorded tell it by their steps.
        place = first if first is not None else _first_false(steps_valid)
        if place is not None:
            wrong[place] += 1
    bars = min(max(wrong, default=-1) + 1, MOST_BARS)
    return Findings(
        texts=texts,
        read=min(texts, MOST_READ),
        with_steps=with_steps,
        checks=[
            Check(
                name,
                CHECKS.get(name, ""),
                found[True],
                found[False],
                found[None],
                independent=evaluation.draws == 1,
            )
            for name, found in sorted(outcomes.items(), key=lambda one: _rank(one[0]))
        ],
        first_wrong=[wrong[place] for place in range(bars)],
        later=sum(count for place, count in wrong.items() if place >= bars),
    )


def _first_false(steps_valid: list[bool | None]) -> int | None:
    return next((place for place, valid in enumerate(steps_valid) if valid is False), None)


def _rank(name: str) -> tuple[int, str]:
    known = list(CHECKS)
    return (known.index(name) if name in known else len(known), name)
