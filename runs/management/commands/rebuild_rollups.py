"""Make the rollups that charts are read from anew out of the stored points, or check them."""

from itertools import islice
from typing import Any

from django.core.management.base import CommandError, CommandParser

from runs.metrics.checking import differences
from runs.metrics.rollups import rebuild
from runs.models import Run
from tunix_site.commands import TunixCommand, add_flag
from tunix_site.errors import NotFoundError

MAX_TOLD = 20


class Command(TunixCommand):
    help = __doc__

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("runs", nargs="*", type=run_number, metavar="RUN", help="default: all runs")
        add_flag(parser, "--check", action="store_true", help="change nothing; say what disagrees, exit 1")

    def run(self, **options: Any) -> dict[str, Any]:
        numbers = self._numbers(list(dict.fromkeys(options["runs"])))
        return self._check(numbers) if options["check"] else self._rebuild(numbers)

    def _numbers(self, asked: list[int]) -> list[int]:
        there = list(Run.objects.order_by("pk").values_list("pk", flat=True))
        if missing := sorted(set(asked).difference(there)):
            raise NotFoundError(
                f"There is no run {', '.join(map(str, missing))}.", hint="The page /runs/ lists them."
            )
        return asked or there

    def _rebuild(self, numbers: list[int]) -> dict[str, Any]:
        series = 0
        for number in numbers:
            made = rebuild(number)
            series += made
            self.say(f"Run {number}: the rollups of {made} series made anew.")
        return {"runs": numbers, "series": series}

    def _check(self, numbers: list[int]) -> dict[str, Any]:
        wrong: dict[str, list[str]] = {}
        for number in numbers:
            found = differences(Run.objects.get(pk=number))
            told = list(islice(found, MAX_TOLD))
            more = sum(1 for _ in found)
            for text in told:
                self.say(f"Run {number}: {text}")
            if more:
                self.say(f"Run {number}: and {more:,} more")
            if told:
                wrong[str(number)] = told
        if wrong:
            self.failure = CommandError(
                f"Rollups of run {', '.join(wrong)} disagree with the points. "
                f"Make them anew: manage.py rebuild_rollups {' '.join(wrong)}",
                returncode=1,
            )
        else:
            self.say(f"The rollups of {len(numbers)} runs agree with their points.")
        return {"runs": numbers, "wrong": wrong}


def run_number(text: str) -> int:
    """Read the number of a run as a flag gives it."""
    number = int(text)
    if not 1 <= number < 2**63:
        raise ValueError(text)
    return number
