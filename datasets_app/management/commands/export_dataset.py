"""``export_dataset``: write a dataset as JSON lines in a shape that other tools read."""

from pathlib import Path
from typing import Any

from django.core.management.base import CommandParser

from datasets_app.formats import WRITERS, export_lines
from datasets_app.manifest import replace_file
from datasets_app.selectors import resolve_dataset
from datasets_app.traces import SPLITS
from tunix_site.commands import TunixCommand, add_flag
from tunix_site.errors import UserError


class Command(TunixCommand):
    help = "Write a dataset as JSON lines, in order."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("key", metavar="KEY", help="KEY or KEY@HASHPREFIX")
        add_flag(
            parser, "--format", choices=list(WRITERS), default="trace", help="the shape; trace is lossless"
        )
        add_flag(parser, "--split", choices=SPLITS, help="one side only")
        parser.add_argument("-o", "--output", metavar="FILE", help="default: standard output")

    def run(self, **options: Any) -> dict[str, Any] | None:
        dataset = resolve_dataset(address=options["key"])
        lines = export_lines(dataset=dataset, format=options["format"], split=options["split"])
        if options["output"] in (None, "-"):
            if options["json"]:
                raise UserError("--json needs -o FILE: standard output carries the traces.")
            for line in lines:
                self.stdout.write(line.decode(), ending="")
            return None
        path = Path(options["output"])
        try:
            facts = replace_file(path, lines)
        except OSError as error:
            raise UserError(f"{path} could not be written: {error.strerror}.") from error
        self.say(f"Wrote {facts['lines']} traces of {dataset.address} to {path}.")
        return {
            "key": dataset.key,
            "content_hash": dataset.content_hash,
            "format": options["format"],
            "path": str(path),
            **facts,
        }
