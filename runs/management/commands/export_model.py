"""``export_model``: a checkpoint as a folder that transformers, vLLM, PEFT and others open."""

from pathlib import Path
from typing import Any

from django.core.management.base import CommandParser
from django.template.defaultfilters import filesizeformat

from runs.exporting.asking import export_checkpoint, in_words
from runs.launching import positive
from runs.selectors import get_run
from training.hf.formats import MAX_SHARD_BYTES
from tunix_site.commands import TunixCommand, add_flag


class Command(TunixCommand):
    help = "Write a checkpoint as a Hugging Face model, or its adapter in the form of PEFT."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("run", metavar="RUN", help="number of a training run")
        parser.add_argument(
            "--checkpoint", metavar="latest|best|STEP|NAME", default="latest", help="default: latest"
        )
        parser.add_argument(
            "--format",
            choices=["hf", "adapter"],
            required=True,
            help="hf: the whole model, adapters merged; adapter: what was trained beside the base alone",
        )
        parser.add_argument(
            "-o", "--output", type=Path, metavar="DIR", required=True, help="a folder that is empty or new"
        )
        parser.add_argument(
            "--overwrite", action="store_true", help="replace an earlier export in that folder"
        )
        add_flag(
            parser,
            "--max-shard-bytes",
            type=positive,
            default=MAX_SHARD_BYTES,
            metavar="N",
            help=f"largest file of weights (default: {MAX_SHARD_BYTES})",
        )

    def run(self, **options: Any) -> dict[str, Any] | None:
        result = export_checkpoint(
            get_run(run_id=options["run"]),
            which=options["checkpoint"],
            format=options["format"],
            target=options["output"],
            overwrite=options["overwrite"],
            max_shard_bytes=options["max_shard_bytes"],
            hear=lambda told: self.say(in_words(told)),
        )
        size = filesizeformat(result["bytes"]).replace("\xa0", " ")
        self.say(f"Wrote step {result['step']} of run {result['run_id']} to {result['path']} ({size}).")
        return result
