"""``export_history``: write the points of runs for TensorBoard, or as CSV or JSONL."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from django.core.management.base import CommandParser

from runs.interchange.exporting import WRITERS, export_run
from runs.selectors import get_run
from tunix_site.commands import TunixCommand


class Command(TunixCommand):
    help = "Export the points of runs as TensorBoard event files, CSV or JSONL."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("runs", metavar="RUN", nargs="+", help="numbers of runs")
        parser.add_argument("--format", default="tensorboard", choices=list(WRITERS))
        parser.add_argument(
            "-o", "--output", type=Path, required=True, metavar="DIR", help="folder to write to"
        )
        parser.add_argument(
            "--exact",
            action="store_true",
            help="TensorBoard values with 64 bits, which need tensorboard --load_fast=false",
        )

    def run(self, **options: Any) -> dict[str, Any]:
        runs = [get_run(run_id=name) for name in dict.fromkeys(options["runs"])]
        done = []
        for run in runs:
            one = export_run(run, format=options["format"], folder=options["output"], exact=options["exact"])
            self.say(f"Run {run.pk}: {one.points} points in {one.path}")
            done.append(one)
        return {"format": options["format"], "runs": [asdict(one) for one in done]}
