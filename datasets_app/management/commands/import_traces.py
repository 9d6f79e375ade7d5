"""``import_traces``: read a file of traces into a dataset, all of it or nothing."""

import time
from pathlib import Path
from typing import Any

from django.core.management.base import CommandParser
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from datasets_app.formats import FORMATS
from datasets_app.imports.errors import UnfitFileError
from datasets_app.imports.outcome import Outcome, Watch
from datasets_app.imports.reader import Preview
from datasets_app.imports.request import AUTO, make_request, parse_mapping
from datasets_app.imports.run import carry_out, open_import, rehearse
from datasets_app.traces import SPLITS
from tunix_site.commands import TunixCommand, add_flag

SHOWN = 300


class Command(TunixCommand):
    help = "Import traces from a file (JSON lines, JSON array, CSV, Parquet, plain lines; .gz and .zst)."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("file", metavar="FILE")
        add_flag(parser, "--dataset", metavar="KEY", required=True, help="the dataset that it goes into")
        add_flag(parser, "--format", choices=[AUTO, *FORMATS], default=AUTO, help="default: by the records")
        add_flag(parser, "--split", choices=SPLITS, help="the side of all its traces")
        add_flag(parser, "--keep-going", action="store_true", help="take the good lines, name the others")
        add_flag(parser, "--map", metavar="A=B,…", default="", help="the format's field A is the file's B")
        add_flag(
            parser,
            "--solve",
            metavar="FAMILY",
            default="",
            help="let this generator family write the steps of each problem; the file's answers must agree",
        )
        add_flag(parser, "--source", default="", help="where the traces come from")
        add_flag(parser, "--licence", default="", help="their licence")
        add_flag(parser, "--dry-run", action="store_true", help="show what would be imported; change nothing")

    def run(self, **options: Any) -> dict[str, Any]:
        path = Path(options["file"])
        request = make_request(
            key=options["dataset"],
            format=options["format"],
            split=options["split"],
            keep_going=options["keep_going"],
            mapping=parse_mapping(options["map"]),
            solve=options["solve"],
            source=options["source"],
            licence=options["licence"],
        )
        if not path.is_file():
            raise UnfitFileError(f"There is no file {path}.")
        size = path.stat().st_size
        console = Console(stderr=True)
        columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
        with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
            task = bar.add_task(path.name, total=size or None)

            def progressed(done: int, outcome: Outcome) -> None:
                said = f"{path.name}: {outcome.imported:,} traces, {outcome.refused:,} refused"
                bar.update(task, completed=done, description=said)

            watch = Watch(previewed=self._preview, progressed=progressed, counted=self._counts)
            began = time.monotonic()
            if options["dry_run"]:
                outcome = rehearse(request=request, path=path, name=path.name, watch=watch)
                self._counts(outcome)
            else:
                row = open_import(request=request, name=path.name, size=size)
                outcome = carry_out(row=row, path=path, watch=watch)
            outcome.seconds = time.monotonic() - began
        self._tell(outcome, dry=options["dry_run"])
        answer = outcome.as_json(request.key)
        return answer | {"dry_run": True} if options["dry_run"] else answer

    def _preview(self, preview: Preview) -> None:
        self.say(f"Format: {preview.format} ({preview.container})")
        for name, own in preview.mapping.items():
            self.say(f"  {name} ← {own}")
        for note in preview.notes:
            self.say(f"Note: {note}")
        for number, member in enumerate(preview.traces, start=1):
            record = member.record
            self.say(f"Trace {number} ({member.split}): {_short(record.prompt)}")
            for step in record.steps[:10]:
                self.say(f"  · {_short(step.content)}")
            if len(record.steps) > 10:
                self.say(f"  · … {len(record.steps) - 10} more")
            self.say(f"  = {_short(record.final_answer)}")

    def _counts(self, outcome: Outcome) -> None:
        there = f", {outcome.existing:,} there already" if outcome.existing else ""
        self.say(f"{outcome.imported:,} traces to import{there}, {outcome.refused:,} refused.")

    def _tell(self, outcome: Outcome, *, dry: bool) -> None:
        for refusal in outcome.first_refused:
            self.say(f"Refused: {refusal}")
        if outcome.rejects:
            self.say(f"All {outcome.refused:,} refused lines: {outcome.rejects}")
        for note in outcome.notes:
            self.say(f"Note: {note}")
        if dry:
            self.say("A dry run: nothing was changed.")
        elif outcome.dataset is not None and outcome.created:
            dataset = outcome.dataset
            sides = f"{dataset.train_count:,} train, {dataset.test_count:,} test"
            self.say(f"Published {dataset.address}: {dataset.trace_count:,} traces ({sides}).")
        elif outcome.dataset is not None:
            self.say(f"{outcome.dataset.address} holds all of it already. Nothing changed.")


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= SHOWN else f"{line[:SHOWN]}…"
