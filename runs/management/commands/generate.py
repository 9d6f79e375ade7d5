"""Let a run's checkpoint answer a prompt."""

from typing import Any

from django.core.management.base import CommandError, CommandParser

from runs import launching
from runs.management.commands.evaluate import device_for
from runs.selectors import find_checkpoint, get_run, live_workers
from runs.states import Kind
from training.config import TrainConfig
from training.decoding import Decoding, make_decoding
from training.errors import ConfigError
from tunix_site.commands import add_flag
from tunix_site.errors import InvalidInputError

MAX_PROMPT_CHARACTERS = 100_000


class Command(launching.RunCommand):
    help = __doc__

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("run_id", metavar="RUN", help="number of a training run")
        parser.add_argument("--prompt", required=True, metavar="TEXT")
        parser.add_argument("--checkpoint", default="latest", metavar="latest|best|STEP|ALIAS")
        for name, field in Decoding.model_fields.items():
            kind = field.annotation
            add_flag(
                parser,
                f"--{name.replace('_', '-')}",
                type=kind,
                metavar="N" if kind is int else "X",
                default=field.default,
                help=f"{field.description} (default: {field.default})",
            )
        launching.add_device_flags(parser)
        launching.add_mode_flags(parser)

    def run(self, **options: Any) -> dict[str, Any] | None:
        try:
            decoding = make_decoding({name: options[name] for name in Decoding.model_fields})
        except ConfigError as error:
            raise CommandError(str(error), returncode=2) from error
        prompt = options["prompt"]
        if not prompt.strip() or len(prompt) > MAX_PROMPT_CHARACTERS or "\x00" in prompt:
            raise InvalidInputError(
                f"--prompt must be text of 1 to {MAX_PROMPT_CHARACTERS} characters without NUL."
            )
        source = get_run(run_id=options["run_id"])
        checkpoint = find_checkpoint(run=source, which=options["checkpoint"])
        run = self.create_run(
            kind=Kind.GENERATE,
            config=TrainConfig.model_validate(source.config),
            device=device_for(options, source.device_kind),
            dataset=None,
            total_steps=0,
            params={
                "step_dir": checkpoint.path,
                "step": checkpoint.step,
                "prompt": prompt,
                **decoding.model_dump(),
            },
            parent=source,
            parent_step=checkpoint.step,
        )
        foreground = options["foreground"] or not (options["detach"] or live_workers().exists())
        run = self.carry_out(run, foreground=foreground, detach=options["detach"])
        facts = {
            "run_id": source.pk,
            "generation_run_id": run.pk,
            "step": checkpoint.step,
            "prompt": prompt,
            "decoding": decoding.model_dump(),
        }
        if options["detach"]:
            return {**facts, "status": run.status}
        self.require_success(run)
        if not self.as_json:
            self._print(run.result["texts"])
        return {**facts, **run.result}

    def _print(self, texts: list[dict[str, Any]]) -> None:
        """Print the one text alone, and several under a number each."""
        for number, found in enumerate(texts, start=1):
            if len(texts) > 1:
                self.stdout.write(f"[{number} of {len(texts)}]")
            self.stdout.write(found["text"])
