"""Fine-tune a base model on a dataset of reasoning traces, and compare it with what it was before."""

from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser

from datasets_app.selectors import resolve_dataset
from runs import launching
from runs.base_models.before_after import BeforeAfter, before_after
from runs.base_models.finetuning import (
    METHODS,
    REASONINGS,
    base_of,
    default_fields,
    default_reasoning,
    fit_of,
    require_room,
)
from runs.base_models.selectors import find_row
from runs.devices import Device
from runs.management.commands import train
from runs.models import BaseModel, Run
from runs.resuming import ResumePlan
from runs.states import Kind
from training.config import TrainConfig, parse_overrides
from training.errors import ConfigError
from tunix_site.commands import add_flag
from tunix_site.errors import InvalidInputError

FIGURES = (
    "base_accuracy",
    "accuracy",
    "p_value",
    "base_finished_rate",
    "finished_rate",
    "base_format_rate",
    "format_rate",
)
# Flags of `train` that say something else than how a base model is fine-tuned.
NOT_HERE = {"model": "--model", "recipe": "--recipe", "resume_from": "--resume-from"}

# Fields of a recipe that have a flag here, which --set could contradict.
ALSO_SET = {
    "method": "method",
    "reasoning": "reasoning",
    "evaluate_first": "evaluate_base",
    "save_every_steps": "save_every_steps",
}


class Command(train.Command):
    help = __doc__

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("base", metavar="MODEL", help="name of a base model, or NAME@HASH")
        super().add_arguments(parser)
        add_flag(parser, "--method", choices=METHODS, default=None, help="what is trained; default: lora")
        add_flag(
            parser,
            "--reasoning",
            choices=REASONINGS,
            default=None,
            help="how steps are written; default: think for a model with a chat template, else plain",
        )
        add_flag(
            parser,
            "--evaluate-base",
            action="store_true",
            help="grade the base model first, and compare at the end",
        )
        add_flag(
            parser, "--force", action="store_true", help="begin although the estimate says it cannot fit"
        )

    def run(self, **options: Any) -> dict[str, Any] | None:
        if given := [flag for name, flag in NOT_HERE.items() if options[name] is not None]:
            raise CommandError(
                f"finetune takes its model first and does not go with {', '.join(given)}. An interrupted "
                "one goes on with: manage.py train --resume-from RUN.",
                returncode=2,
            )
        if not options["dataset"]:
            raise CommandError("Give --dataset KEY.", returncode=2)
        _overrides(options)
        result = super().run(**options)
        if result is None:
            return None
        compared = before_after(Run.objects.get(pk=result["run_id"]))
        return {**result, **figures(compared)}

    def _create(self, options: dict[str, Any], plan: ResumePlan | None = None) -> Run:
        row, dataset = find_row(options["base"]), resolve_dataset(address=options["dataset"])
        device = launching.device_from_flags(options)
        config = self._recipe(row, device, options)
        fit = fit_of(config, device)
        self.say(f"{row.reference}, {row.parameters:,} parameters, {config.method} on {dataset.address}.")
        self.say(fit.words)
        if not options["force"]:
            require_room(fit, config)
        return self.create_run(
            kind=Kind.TRAIN,
            config=config,
            device=device,
            dataset=dataset,
            total_steps=config.steps,
            params={"profile_steps": options["profile_steps"]} if options["profile_steps"] else {},
            name=options["name"] or f"{row.name} on {dataset.key}",
            checkpoint_root=_root(options),
        )

    def _recipe(self, row: BaseModel, device: Device, options: dict[str, Any]) -> TrainConfig:
        given = _overrides(options)
        method = options["method"] or given.get("method", "lora")
        if method not in METHODS:
            raise CommandError(
                f"There is no method {method!r}; there are {', '.join(METHODS)}.", returncode=2
            )
        defaults = default_fields(row, base_of(row).shape, method=method, device=device)
        defaults["reasoning"] = options["reasoning"] or default_reasoning(row)
        defaults["evaluate_first"] = options["evaluate_base"]
        if options["smoke_steps"] is not None:
            defaults |= launching.smoke_fields(options["smoke_steps"])
        if options["save_every_steps"] is not None:
            defaults["save_every_steps"] = options["save_every_steps"]
        return launching.config_from_flags(options, **defaults)

    def _tell(self, run: Run) -> None:
        super()._tell(run)
        if self.as_json or not run.is_ended:
            return
        compared = before_after(run)
        if compared is not None:
            self.say(in_words(compared))


def _overrides(options: dict[str, Any]) -> dict[str, str]:
    """Read what ``--set`` gives, and refuse fields that a flag gives too."""
    try:
        given = parse_overrides(options["overrides"])
    except ConfigError as error:
        raise InvalidInputError(str(error)) from error
    for field, option in ALSO_SET.items():
        if field in given and options[option] not in (None, False):
            flag = option.replace("_", "-")
            raise CommandError(f"{field} is given by --{flag} and by --set; give it once.", returncode=2)
    return given


def figures(compared: BeforeAfter | None) -> dict[str, float | None]:
    """Give what ``finetune --json`` adds to ``train --json``; null without both evaluations."""
    if compared is None:
        return dict.fromkeys(FIGURES)
    return {
        "base_accuracy": compared.accuracy_before,
        "accuracy": compared.accuracy_after,
        "p_value": compared.counts.p_value,
        "base_finished_rate": compared.form_before.finished_rate,
        "finished_rate": compared.form_after.finished_rate,
        "base_format_rate": compared.before.format_rate,
        "format_rate": compared.after.format_rate,
    }


def in_words(compared: BeforeAfter) -> str:
    """Say what the fine-tuning changed, in five lines."""
    pair = compared.counts
    (base_low, base_high), (low, high) = compared.interval_before, compared.interval_after
    return (
        f"Base model: {compared.accuracy_before:.1%} of {pair.n} right "
        f"(95 % interval {base_low:.1%} to {base_high:.1%}).\n"
        f"Fine-tuned: {compared.accuracy_after:.1%} (95 % interval {low:.1%} to {high:.1%}), "
        f"{compared.change_points} points ({compared.interval_points}).\n"
        f"{pair.only_other} gained, {pair.only_baseline} lost; McNemar's exact test: {pair.p_words}; "
        f"{compared.words}.\n"
        f"{compared.form_words}\n{compared.caution}"
    )


def _root(options: dict[str, Any]) -> Path | None:
    root: Path | None = options["checkpoint_dir"]
    return root
