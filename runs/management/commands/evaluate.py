"""Grade a run's checkpoint on held-out traces: generated answers and steps, with an interval."""

from typing import Any

from django.core.management.base import CommandError, CommandParser

from runs import launching
from runs.devices import Device
from runs.evaluations.asking import (
    DEFAULT_LIMIT,
    SPLITS,
    Wanted,
    check_settings,
    make_evaluation,
    newest_wanted,
)
from runs.evaluations.repeating import repeats
from runs.evaluations.schemas import described
from runs.evaluations.wording import decoding_in_words, grader_in_words, in_words, pass_at_in_words
from runs.models import Evaluation, Run
from runs.selectors import get_run, live_workers
from runs.states import INTERRUPTED, Kind
from training.decoding import Decoding
from tunix_site.commands import add_flag
from tunix_site.errors import ConflictError, InvalidInputError


class Command(launching.RunCommand):
    help = __doc__

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "run_id", metavar="RUN", help="number of a training run; with --resume of an evaluation"
        )
        parser.add_argument("--checkpoint", metavar="latest|best|STEP|NAME", help="default: latest")
        parser.add_argument("--dataset", metavar="KEY", help="default: the run's own")
        parser.add_argument("--split", choices=SPLITS, help="default: test")
        parser.add_argument(
            "--limit", type=launching.positive, metavar="N", help=f"traces at most (default: {DEFAULT_LIMIT})"
        )
        parser.add_argument("--grader", metavar="NAME", help="default: the one of the run's recipe")
        add_flag(
            parser,
            "--subset-seed",
            type=launching.natural,
            metavar="N",
            help="what chooses the traces where there are more (default: the seed of the run)",
        )
        for name, field in Decoding.model_fields.items():
            kind = field.annotation
            default = "as long as needed" if name == "max_new_tokens" else field.default
            add_flag(
                parser,
                f"--{name.replace('_', '-')}",
                type=kind,
                metavar="N" if kind is int else "X",
                help=f"{field.description} (default: {default})",
            )
        again = parser.add_mutually_exclusive_group()
        again.add_argument(
            "--again",
            action="store_true",
            help="repeat the newest evaluation of the run, with its settings where no flag says otherwise",
        )
        again.add_argument(
            "--resume", action="store_true", help="take up an interrupted evaluation: RUN is its own number"
        )
        launching.add_device_flags(parser)
        launching.add_mode_flags(parser)

    def run(self, **options: Any) -> dict[str, Any] | None:
        given = _given(options)
        named = get_run(run_id=options["run_id"])
        run = (
            self._taken_up(named, options, given) if options["resume"] else self._made(named, options, given)
        )
        foreground = options["foreground"] or not (options["detach"] or live_workers().exists())
        run = self.carry_out(
            run,
            foreground=foreground,
            detach=options["detach"],
            resume_path="" if options["resume"] else None,
        )
        if options["detach"]:
            return {"run_id": run.parent_id, "evaluation_run_id": run.pk, "status": run.status}
        self.require_success(run)
        evaluation = self._stored(run)
        if not self.as_json:
            self._tell(evaluation)
        return report(evaluation)

    def _made(self, source: Run, options: dict[str, Any], given: dict[str, Any]) -> Run:
        wanted = newest_wanted(source, given) if options["again"] else Wanted(**given)
        if source.kind == Kind.TRAIN:
            # Wrong flags are wrong use, whatever the run is like.
            try:
                check_settings("auto", wanted.decoding)
            except InvalidInputError as error:
                raise CommandError(str(error), returncode=2) from error
        return make_evaluation(
            source,
            wanted,
            choose_device=lambda: device_for(options, source.device_kind),
            origin=launching.command_line(),
        )

    def _taken_up(self, run: Run, options: dict[str, Any], given: dict[str, Any]) -> Run:
        if given:
            flags = ", ".join(f"--{name.replace('_', '-')}" for name in given)
            raise CommandError(
                f"A resume goes on with the settings it began with: drop {flags}.", returncode=2
            )
        if run.kind != Kind.EVALUATE or run.status not in INTERRUPTED:
            raise ConflictError(
                f"Run {run.pk} ({run.get_kind_display()}) is {run.status}; only an evaluation that was "
                "stopped, failed or lost can be resumed."
            )
        return run

    def _stored(self, run: Run) -> Evaluation:
        made = Evaluation.objects.filter(made_by=run, superseded=False).select_related(
            "dataset", "checkpoint"
        )
        row = made.order_by("-pk").first()
        if row is None:
            raise ConflictError(
                f"Run {run.pk} is completed, but its evaluation is not in the database (yet).",
                hint=f"Look at {run.address} in a moment. Where it does not come, what it graded stands in "
                f"{run.attempt_directory(run.attempt)}: manage.py import_journal takes it in.",
            )
        return row

    def _tell(self, row: Evaluation) -> None:
        self.say(
            f"Run {row.run_id}, step {row.step}: answers right: {in_words(row)}, in {row.seconds:.1f} s."
        )
        if more := pass_at_in_words(row):
            self.say(f"With {row.draws} texts a prompt: {more}.")
        if row.step_accuracy is not None:
            recorded = row.right_below_invalid
            wrong = "not recorded" if recorded is None else recorded
            self.say(f"Valid steps: {row.step_accuracy:.1%}. Right with an invalid step: {wrong}.")
        if row.format_rate is not None:
            self.say(f"In the right form: {row.format_rate:.1%}.")
        if speed := row.tokens_per_second:
            self.say(
                f"{row.generated_tokens:,} tokens, {speed:,.0f} a second, {decoding_in_words(row.decoding)}."
            )
        self.say(f"Grader: {grader_in_words(row)}. Results: {row.results_hash[:16]}")
        if (repeat := repeats(row)) is not None:
            self.say(f"This is {repeat.words}." if repeat.identical else f"It {repeat.words}.")
        self.say(f"Its page: {row.run.address}")


def _given(options: dict[str, Any]) -> dict[str, Any]:
    """Gather what flags say, under the names of `Wanted`."""
    names = ("checkpoint", "dataset", "split", "limit", "grader", "subset_seed")
    given = {name: options[name] for name in names if options[name] is not None}
    drawn = {name: options[name] for name in Decoding.model_fields if options[name] is not None}
    return given | ({"decoding": drawn} if drawn else {})


def device_for(options: dict[str, Any], kind: str) -> Device:
    """Choose the device: as the flags say, else of the kind that the model was trained on."""
    if options["device"] is None and options["device_index"] is None:
        options = {**options, "device": kind}
    return launching.device_from_flags(options)


def report(row: Evaluation) -> dict[str, Any]:
    """Give what ``evaluate --json`` prints."""
    return {
        **described(row),
        "evaluation_id": row.pk,
        "evaluation_run_id": row.made_by_id,
        "content_hash": row.dataset.content_hash if row.dataset else None,
        "url": row.run.address,
    }
