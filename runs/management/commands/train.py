"""Train a model on a dataset of reasoning traces, or take an interrupted training up again."""

from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser

from datasets_app.selectors import resolve_dataset
from runs import launching
from runs.devices import require_jax
from runs.evaluating import in_words
from runs.models import Run
from runs.recipes.figures import Measured, measure
from runs.recipes.files import Recipe, verdict_on
from runs.recipes.shipped import create_from, find_recipe
from runs.resuming import ResumePlan, plan_resume
from runs.states import Kind, Status
from training.config import TrainConfig
from tunix_site.commands import add_flag
from tunix_site.errors import UserError

# Flags that describe a new recipe; a resumed run keeps its own.
RECIPE_FLAGS = ("steps", "smoke_steps", "model", "overrides", "save_every_steps")
FLAG_OF = {"overrides": "set"}
# The trace of more updates than these is too large to be of use.
MAX_PROFILED = 100


class Command(launching.RunCommand):
    help = __doc__

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        launching.add_recipe_flags(parser)
        add_flag(
            parser, "--smoke-steps", type=launching.positive, metavar="N", help="a short trial of N steps"
        )
        add_flag(
            parser, "--save-every-steps", type=launching.natural, metavar="N", help="checkpoint interval"
        )
        add_flag(parser, "--checkpoint-dir", type=Path, metavar="D", help="folder that gets D/<run>/<step>/")
        add_flag(parser, "--resume-from", metavar="latest|RUN|PATH", help="take an interrupted training up")
        add_flag(
            parser,
            "--recipe",
            metavar="NAME|FILE",
            help="train a recipe that comes with the project, or the one that a file describes",
        )
        add_flag(
            parser,
            "--allow-inexact",
            action="store_true",
            help="resume also where that does not give the same bits, and say so on the run's page",
        )
        add_flag(
            parser,
            "--profile-steps",
            type=_window,
            metavar="FIRST:LAST",
            help="write a jax.profiler trace of these updates",
        )
        add_flag(parser, "--name", default="", help="a name to find the run by")
        launching.add_mode_flags(parser)

    def run(self, **options: Any) -> dict[str, Any] | None:
        if options["smoke_steps"] is not None and options["steps"] is not None:
            raise CommandError("Give --steps or --smoke-steps, not both.", returncode=2)
        self._refuse_beside_a_recipe(options)
        if not (options["resume_from"] or options["recipe"] or options["dataset"]):
            raise CommandError("Give --dataset KEY (or --recipe, or --resume-from).", returncode=2)
        if options["profile_steps"] and (options["resume_from"] or options["recipe"]):
            raise CommandError("--profile-steps goes with a new training of --dataset.", returncode=2)
        if options["allow_inexact"] and options["resume_from"] is None:
            raise CommandError("--allow-inexact goes with --resume-from.", returncode=2)
        recipe = find_recipe(options["recipe"]) if options["recipe"] else None
        require_jax()
        if not (options["foreground"] or options["detach"]):
            launching.require_worker("the run")
        mode: dict[str, Any] = {"foreground": options["foreground"], "detach": options["detach"]}
        if options["resume_from"] is not None:
            run = self._resume(plan_resume(options["resume_from"], dataset=options["dataset"]), options, mode)
        elif recipe is not None:
            run = self.carry_out(self._follow_recipe(recipe, options), **mode)
        else:
            run = self.carry_out(self._create(options), **mode)
        if not options["detach"]:
            self.require_success(run, also=frozenset({Status.STOPPED}))
        self._tell(run)
        return report(run)

    def _create(self, options: dict[str, Any], plan: ResumePlan | None = None) -> Run:
        dataset = resolve_dataset(address=options["dataset"]) if options["dataset"] else plan and plan.dataset
        if dataset is None:
            raise UserError(
                "The checkpoint's dataset is not in this database.", hint="Name one with --dataset KEY."
            )
        config = self._config(options, plan.config if plan else None)
        return self.create_run(
            kind=Kind.TRAIN,
            config=config,
            device=launching.device_from_flags(options),
            dataset=dataset,
            total_steps=config.steps,
            params={"profile_steps": options["profile_steps"]} if options["profile_steps"] else {},
            name=options["name"],
            parent=plan.run if plan else None,
            parent_step=plan.step if plan else None,
            resume_path=str(plan.step_dir) if plan else "",
            checkpoint_root=options["checkpoint_dir"],
        )

    def _refuse_beside_a_recipe(self, options: dict[str, Any]) -> None:
        """A recipe is whole: flags beside it would make another one."""
        names = ("resume_from", "dataset", *RECIPE_FLAGS)
        given = [name for name in names if options[name] not in (None, [])]
        if options["recipe"] and given:
            flags = ", ".join(f"--{FLAG_OF.get(name, name).replace('_', '-')}" for name in given)
            raise CommandError(
                f"--recipe says what is trained, so it does not go with {flags}. Edit the file instead.",
                returncode=2,
            )

    def _follow_recipe(self, recipe: Recipe, options: dict[str, Any]) -> Run:
        if not (recipe.expected or recipe.figures):
            self.say("The recipe expects no certain end: it has none, or its config was changed.")
        return create_from(
            recipe,
            device=launching.device_from_flags(options),
            name=options["name"],
            checkpoint_root=options["checkpoint_dir"],
            origin=launching.command_line(),
        )

    def _config(self, options: dict[str, Any], base: TrainConfig | None) -> TrainConfig:
        defaults: dict[str, Any] = base.model_dump() if base else {}
        smoke = options["smoke_steps"]
        if smoke is not None:
            defaults |= launching.smoke_fields(smoke)
        if options["save_every_steps"] is not None:
            defaults["save_every_steps"] = options["save_every_steps"]
        return launching.config_from_flags(options, **defaults)

    def _resume(self, plan: ResumePlan, options: dict[str, Any], mode: dict[str, Any]) -> Run:
        """Go on with the plan's run; a checkpoint of no interrupted run starts a new one from there."""
        changed = [name for name in RECIPE_FLAGS if options[name] not in (None, [])]
        if (
            plan.run is not None
            and plan.continues
            and not (plan.named_by_path and (changed or options["dataset"]))
        ):
            self._refuse_changes(plan.run, changed, options)
            return self.carry_out(
                plan.run, resume_path=plan.named_path, allow_inexact=options["allow_inexact"], **mode
            )
        return self.carry_out(self._create(options, plan), **mode)

    def _refuse_changes(self, run: Run, changed: list[str], options: dict[str, Any]) -> None:
        """Refuse flags that would change the frozen recipe; the same values again are harmless."""
        instead = f"or start a new run from its checkpoint: --resume-from {run.checkpoint_dir}/STEP."
        device = options["device"]
        if device not in (None, run.device_kind):
            raise UserError(
                f"Run {run.pk} was made for {run.device_kind}; on {device} it would not repeat bit by bit.",
                hint=f"Drop --device, {instead}",
            )
        root = options["checkpoint_dir"]
        if root is not None and root.resolve() != Path(run.checkpoint_dir).parent:
            raise UserError(
                f"Run {run.pk} keeps its checkpoints in {run.checkpoint_dir}.", hint="Drop --checkpoint-dir."
            )
        if not changed:
            return
        own = TrainConfig.model_validate(run.config)
        wanted = self._config(options, own)
        differing = [
            f"{name}={getattr(own, name)!r} (you gave {getattr(wanted, name)!r})"
            for name in TrainConfig.model_fields
            if getattr(own, name) != getattr(wanted, name)
        ]
        if differing:
            raise UserError(
                f"Run {run.pk} resumes with its own frozen config, which differs: {', '.join(differing)}.",
                hint=f"Drop those flags, {instead}",
            )

    def _tell(self, run: Run) -> None:
        if self.as_json or not run.is_ended:
            return
        loss = f", loss {run.final_loss:.4f}" if run.final_loss is not None else ""
        self.say(f"Run {run.pk} {run.status} at step {run.step}/{run.total_steps}{loss}.")
        evaluation = run.evaluations.filter(superseded=False).order_by("-final", "-step").first()
        if evaluation is not None:
            self.say(f"Held-out answers right: {in_words(evaluation)}.")
        for one in measure(run):
            self.say(f"{one.figure.metric}: expected {one.figure.words}; measured {_measured(one)}.")
        matches = verdict_on(run)
        if matches is not None:
            self.say("The parameters are " + ("" if matches else "NOT ") + "those that the recipe expects.")
        if run.status == Status.STOPPED:
            self.say(f"Go on with: manage.py train --resume-from {run.pk}")
        self.say(f"Its page: {run.address}")


def report(run: Run) -> dict[str, Any]:
    """Give what ``train --json`` prints."""
    return {
        "run_id": run.pk,
        "status": run.status,
        "step": run.step,
        "total_steps": run.total_steps,
        "final_loss": run.final_loss,
        "content_hash": run.dataset.content_hash if run.dataset else None,
        "dataset": run.dataset.key if run.dataset else None,
        "params_hash": run.params_hash or None,
        "attempt": run.attempt,
        "device": run.device_kind,
        "checkpoint_dir": run.checkpoint_dir,
        "as_the_recipe_expects": verdict_on(run),
        "figures": [
            {**one.figure.model_dump(), "measured": one.value, "met": one.met} for one in measure(run)
        ],
        "url": run.address,
    }


def _measured(one: Measured) -> str:
    if one.value is None:
        return "nothing"
    met = {True: ", as expected", False: ", NOT as expected", None: ""}[one.met]
    return f"{one.value:.1%}{met}"


def _window(text: str) -> list[int]:
    """Read ``FIRST:LAST``, both counted from 1 and included (argparse type)."""
    from argparse import ArgumentTypeError

    first, colon, last = text.partition(":")
    try:
        window = [launching.positive(first), launching.positive(last)]
    except ArgumentTypeError:
        window = []
    if not colon or not window or window[0] > window[1] or window[1] - window[0] >= MAX_PROFILED:
        raise ArgumentTypeError(
            f"{text!r} is no window of steps: write FIRST:LAST, at most {MAX_PROFILED} steps, as in 20:25"
        )
    return window
