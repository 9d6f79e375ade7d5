"""``export_dataset``: write a dataset as JSON lines in a shape that other tools read."""

import json
from pathlib import Path
from typing import Any

from django.core.management.base import CommandParser

from datasets_app.cards import FILE, croissant, dataset_card
from datasets_app.formats import WRITERS, export_lines
from datasets_app.fresh_file import replace_file, write_out
from datasets_app.models import Dataset
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
        add_flag(
            parser,
            "--folder",
            metavar="DIR",
            help="instead of one file: traces.jsonl, train.jsonl, test.jsonl, README.md (dataset card) "
            "and croissant.json in a folder",
        )
        parser.add_argument("-o", "--output", metavar="FILE", help="default: standard output")

    def run(self, **options: Any) -> dict[str, Any] | None:
        dataset = resolve_dataset(address=options["key"])
        if options["folder"]:
            if options["split"] or options["output"]:
                raise UserError("--folder holds both splits; give it without --split and -o.")
            return self._write_folder(dataset, Path(options["folder"]), options["format"])
        lines = export_lines(dataset=dataset, format=options["format"], split=options["split"])
        if options["output"] in (None, "-"):
            if options["json"]:
                raise UserError("--json needs -o FILE: standard output carries the traces.")
            for line in lines:
                self.stdout.write(line.decode(), ending="")
            return None
        path = Path(options["output"])
        try:
            facts = write_out(path, lines)
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

    def _write_folder(self, dataset: Dataset, folder: Path, format: str) -> dict[str, Any]:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            native = replace_file(folder / FILE, export_lines(dataset=dataset, format="trace"))
            files = {FILE: native}
            for split in SPLITS:
                lines = export_lines(dataset=dataset, format=format, split=split)
                files[f"{split}.jsonl"] = replace_file(folder / f"{split}.jsonl", lines)
            described = json.dumps(croissant(dataset, file=native), ensure_ascii=False, indent=2)
            files["README.md"] = replace_file(folder / "README.md", [dataset_card(dataset).encode()])
            files["croissant.json"] = replace_file(folder / "croissant.json", [described.encode() + b"\n"])
        except OSError as error:
            raise UserError(f"{folder} could not be written: {error.strerror}.") from error
        self.say(f"Wrote {native['lines']} traces of {dataset.address} with their card to {folder}.")
        return {
            "key": dataset.key,
            "content_hash": dataset.content_hash,
            "format": format,
            "path": str(folder),
            "files": files,
        }
