"""``import_journal``: take in a journal that no supervisor fed, also one from another machine."""

from pathlib import Path
from typing import Any

from django.core.management.base import CommandParser

from runs.journal_import import Imported, import_journal
from runs.launching import positive
from runs.models import Run
from runs.selectors import get_run
from tunix_site.commands import TunixCommand

NAMED = 20


class Command(TunixCommand):
    help = "Import an attempt's journal that was found later, also from another machine."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "path", metavar="PATH", type=Path, help="a metrics.jsonl, or the attempt's folder that holds it"
        )
        parser.add_argument("--run", metavar="RUN", help="the run that it is of, where it does not say")
        parser.add_argument(
            "--attempt", metavar="N", type=positive, help="the attempt, where neither it nor its folder says"
        )

    def run(self, **options: Any) -> dict[str, Any]:
        named = get_run(run_id=options["run"]) if options["run"] else None
        done = import_journal(options["path"], run=named, attempt=options["attempt"])
        for words in done.damaged[:NAMED]:
            self.say(f"{words[0].upper()}{words[1:]}.")
        if len(done.damaged) > NAMED:
            self.say(f"… and {len(done.damaged) - NAMED} more of the kind.")
        if done.torn_bytes:
            self.say(f"The last {done.torn_bytes} bytes are no whole line and were dropped.")
        self.say(_summary(done))
        return done.as_json()


def _summary(done: Imported) -> str:
    which = f"attempt {done.attempt} of run {done.run_id}"
    if not done.changed:
        return f"Nothing new: {which} is here with all {done.points} points of this journal."
    run = Run.objects.get(pk=done.run_id)
    new = " It was not known here." if done.created else ""
    return (
        f"Imported {which}: {done.events} events with {done.points} points, {done.stored} points stored."
        f"{new} The run is {run.status}{f': {run.reason}' if run.reason else ''}. See {run.address}"
    )
