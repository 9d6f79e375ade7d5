"""Grade a run's checkpoint on held-out traces: generated answers and steps, with an interval."""

from typing import Any

from django.core.management.base import CommandParser

from datasets_app.selectors import resolve_dataset
from runs import launching
from runs.devices import Device
from runs.evaluating import in_words
from runs.models import Evaluation
from runs.selectors import find_checkpoint, get_run, live_workers
from runs.states import Kind
from training.config import TrainConfig


class Command(launching.RunCommand):
    help = __doc__

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("run_id", metavar="RUN", help="number of a training run")
        parser.add_argument("--checkpoint", default="latest", metavar="latest|best|STEP")
        parser.add_argument("--dataset", metavar="KEY", help="default: the run's own")
        parser.add_argument("--split", default="test", choices=["test", "train"])
        parser.add_argument(
            "--limit", type=launching.positive, metavar="N", default=1000, help="traces at most"
        )
        launching.add_device_flags(parser)
        launching.add_mode_flags(parser)

    def run(self, **options: Any) -> dict[str, Any] | None:
        source = get_run(run_id=options["run_id"])
        checkpoint = find_checkpoint(run=source, which=options["checkpoint"])
        dataset = resolve_dataset(address=options["dataset"]) if options["dataset"] else source.dataset
        run = self.create_run(
            kind=Kind.EVALUATE,
            config=TrainConfig.model_validate(source.config),
            device=device_for(options, source.device_kind),
            dataset=dataset,
            total_steps=0,
            params={
                "step_dir": checkpoint.path,
                "step": checkpoint.step,
                "split": options["split"],
                "limit": options["limit"],
            },
            parent=source,
            parent_step=checkpoint.step,
        )
        foreground = options["foreground"] or not (options["detach"] or live_workers().exists())
        run = self.carry_out(run, foreground=foreground, detach=options["detach"])
        if options["detach"]:
            return {"run_id": source.pk, "evaluation_run_id": run.pk, "status": run.status}
        self.require_success(run)
        evaluation = Evaluation.objects.get(made_by=run)
        if not self.as_json:
            self._tell(evaluation)
        return report(evaluation)

    def _tell(self, row: Evaluation) -> None:
        self.say(
            f"Run {row.run_id}, step {row.step}: answers right: {in_words(row)}, in {row.seconds:.1f} s."
        )
        if row.step_accuracy is not None:
            self.say(f"Valid steps: {row.step_accuracy:.1%}.")
        self.say(f"Its page: {row.run.address}")


def device_for(options: dict[str, Any], kind: str) -> Device:
    """Choose the device: as the flags say, else of the kind that the model was trained on."""
    if options["device"] is None and options["device_index"] is None:
        options = {**options, "device": kind}
    return launching.device_from_flags(options)


def report(row: Evaluation) -> dict[str, Any]:
    """Give what ``evaluate --json`` prints."""
    return {
        "run_id": row.run_id,
        "evaluation_run_id": row.made_by_id,
        "step": row.step,
        "dataset": row.dataset.key if row.dataset else None,
        "content_hash": row.dataset.content_hash if row.dataset else None,
        "split": row.split,
        "n": row.n,
        "correct": row.correct,
        "answer_accuracy": row.answer_accuracy,
        "interval": [row.interval_low, row.interval_high],
        "step_accuracy": row.step_accuracy,
        "loss": row.loss,
        "seconds": row.seconds,
        "url": row.run.address,
    }
