"""Repeat a training and say whether it came out the same, bit by bit."""

import shlex
import sys
from typing import Any

from django.core.management.base import CommandError, CommandParser

from runs import launching
from runs.devices import require_jax
from runs.models import Reproduction, Verdict
from runs.reproducing import create_reproduction
from runs.selectors import get_run
from runs.verdicts import in_words, settle
from tunix_site.commands import add_flag


class Command(launching.RunCommand):
    help = __doc__

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "run_id", metavar="RUN", type=launching.positive, help="the run to repeat, or a reproduction"
        )
        add_flag(parser, "--to-step", type=launching.positive, metavar="N", help="repeat the first N steps")
        add_flag(parser, "--device", choices=["cpu", "gpu"], help="default: the kind that the run had")
        launching.add_mode_flags(parser)

    def run(self, **options: Any) -> dict[str, Any] | None:
        given = get_run(run_id=options["run_id"])
        row = settle(given)
        if row is None:
            row = self._repeat(given, options)
        for one in row.differences:
            self.say(f"{'Differs' if one['decides'] else 'Also differs'}: {_line(one)}")
        self.say(in_words(row))
        if row.verdict != Verdict.IDENTICAL and not (options["detach"] and row.run.is_alive):
            self.failure = CommandError(f"Run {row.run_id}: {in_words(row)}", returncode=1)
        return report(row)

    def _repeat(self, given: Any, options: dict[str, Any]) -> Reproduction:
        require_jax()
        if not (options["foreground"] or options["detach"]):
            launching.require_worker("the run")
        row = create_reproduction(
            given,
            to_step=options["to_step"],
            device=options["device"],
            origin=shlex.join(["manage.py", *sys.argv[1:]]),
        )
        for one in row.differences:
            self.say(f"Before training: {_line(one)}")
        run = self.carry_out(row.run, foreground=options["foreground"], detach=options["detach"])
        row.refresh_from_db()
        return settle(run) or row


def _line(one: dict[str, Any]) -> str:
    return f"{one['name']} ({one['category']}): {one['before']} → {one['after']}"


def report(row: Reproduction) -> dict[str, Any]:
    """Give what ``reproduce --json`` prints."""
    return {
        "run_id": row.run_id,
        "of": row.of_id,
        "verdict": row.verdict,
        "identical_until": row.identical_until,
        "points_compared": row.points_compared,
        "params_hash_equal": row.params_hash_equal,
        "first_difference": row.first_difference or None,
        "differences": row.differences,
        "reason": row.reason,
    }
