"""``import_history``: take in what TensorBoard, W&B, MLflow or a table tells of runs."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from django.core.management.base import CommandParser

from runs.interchange.foreign import Reading
from runs.interchange.reading import READERS, read_history
from runs.interchange.spool import Spool
from runs.interchange.storing import Stored, check_tags, store_all
from tunix_site.commands import TunixCommand, add_flag

SHOWN = 20


class Command(TunixCommand):
    help = "Import runs that another tool recorded: TensorBoard, CSV, JSONL, W&B (offline), MLflow."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("path", metavar="PATH", type=Path, help="a file, or a folder of runs")
        parser.add_argument("--format", default="auto", choices=["auto", *READERS])
        parser.add_argument("--name", default="", help="name of the run, or what its runs' names begin with")
        parser.add_argument("--tag", action="append", default=[], help="a tag for each run; may be repeated")
        add_flag(parser, "--dry-run", action="store_true", help="say what would come and store nothing")
        add_flag(
            parser,
            "--keep-going",
            action="store_true",
            help="leave damaged records out instead of ending there",
        )
        parser.add_argument(
            "--ignore", action="append", default=[], metavar="COLUMN", help="a column of a table to leave out"
        )
        add_flag(parser, "--step-column", default="", metavar="COLUMN", help="the column of a table's steps")

    def run(self, **options: Any) -> dict[str, Any]:
        check_tags(options["tag"])
        reading = Reading(
            name=options["name"],
            keep_going=options["keep_going"],
            ignore=frozenset(options["ignore"]),
            step_column=options["step_column"],
        )
        with Spool() as spool:
            runs = read_history(options["path"], spool, format=options["format"], reading=reading)
            done = store_all(runs, spool, tags=options["tag"], dry_run=options["dry_run"])
        for one in done[:SHOWN]:
            self._tell(one, dry_run=options["dry_run"])
        if len(done) > SHOWN:
            self.say(f"… and {len(done) - SHOWN} more runs.")
        return {"dry_run": options["dry_run"], "runs": [asdict(one) for one in done]}

    def _tell(self, one: Stored, *, dry_run: bool) -> None:
        size = f"{one.points} points of {one.metrics} metric{'' if one.metrics == 1 else 's'}"
        which = f"“{one.name}” ({one.format}, {one.status})"
        if not one.created and not one.stored:
            self.say(f"Already here: run {one.run_id} {which} has all {size}.")
        elif dry_run:
            what = "A new run" if one.created else f"Run {one.run_id}"
            self.say(f"{what} {which} would get {one.stored} new of {size}.")
        else:
            what = "new" if one.created else "added to"
            self.say(f"Run {one.run_id} {which}: {what}, {one.stored} points stored of {size}.")
        for notice in one.notices[:SHOWN]:
            self.say(f"  {notice[0].upper()}{notice[1:]}.")
        if len(one.notices) > SHOWN:
            self.say(f"  … and {len(one.notices) - SHOWN} more notices.")
