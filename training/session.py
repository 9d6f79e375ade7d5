"""One start of a run, from its first or restored state to its end."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from training import checkpoint_store
from training.assembly import Assembly, Params, TrainState, first_state
from training.checkpoints import amend, prepare_root, thin_out
from training.data import AnyRows
from training.evaluate import Evaluator, report_metrics
from training.feed import Feed
from training.hashing import params_hash
from training.metering import StepMeter
from training.planning import Engine
from training.recorder import EvaluationReport, Recorder
from training.step import CompiledStep


@dataclass(frozen=True, slots=True)
class TrainResult:
    """How a training process ended: all steps done, or stopped with a checkpoint.

    ``final_loss`` is the training loss of the last update; ``params_hash`` is over the
    parameters at the end; ``evaluation`` the final one, None when stopped or without test examples.
    """

    status: Literal["completed", "stopped"]
    step: int
    final_loss: float | None
    params_hash: str
    evaluation: EvaluationReport | None


class Session:
    """What a training process has in hand: the state, where it stands, and what is due.

    ``step`` counts the updates that were started; whatever needs them done and recorded waits
    for the meter first. ``engine`` is None where no update is left to be done.
    """

    def __init__(
        self,
        *,
        assembly: Assembly,
        engine: Engine | None,
        rows: AnyRows,
        evaluator: Evaluator | None,
        recorder: Recorder,
        root: Path,
        facts: Mapping[str, Any],
    ) -> None:
        self.engine, self.assembly, self.config = engine, assembly, assembly.config
        self.evaluator, self.recorder, self.root, self.facts = evaluator, recorder, root, facts
        self.feed = Feed(rows, self.config, self.assembly.device)
        self.meter = StepMeter(recorder, skip_limit=self.config.skip_limit)
        self.state: TrainState
        self._compiled: CompiledStep
        self.step = 0
        self.saved_step = self.evaluated_step = 0
        self.evaluation: EvaluationReport | None = None

    @property
    def finished(self) -> bool:
        """Whether all updates have been started."""
        return self.step >= self.config.steps

    @property
    def weights(self) -> Params:
        """What is evaluated: the moving average where there is one, else the parameters."""
        return self.assembly.weights(self.state)

    def begin(self, resume_from: Path | None, stored: Mapping[str, Any] | None) -> None:
        """Draw the first state, or take up that of a checkpoint with these metadata."""
        if resume_from is None or stored is None:
            self.state = first_state(self.assembly)
        else:
            self.state = checkpoint_store.restore(resume_from, assembly=self.assembly)
            self.step = int(self.state.step)
            # A checkpoint of another run is no checkpoint of this one.
            self.saved_step = self.step if resume_from.parent.resolve() == self.root.resolve() else 0
            self.evaluated_step = self.step if stored.get("evaluated") else 0
            self.meter.loss = stored.get("loss")
            self.recorder.resumed(self.step)
            self.recorder.log(f"Resumed from {resume_from} after step {self.step}.")
        for path in prepare_root(self.root, after_step=self.step):
            self.recorder.log(f"Set aside as {path.name}: a checkpoint of a later step than this start's.")

    def due(self, every: int) -> bool:
        """Tell whether something is due that comes every so many updates and after the last."""
        return self.finished or (every > 0 and self.step % every == 0)

    def start(self) -> None:
        """Begin the updates that are left, if there are any."""
        if self.finished or self.engine is None:
            return
        self.recorder.phase("training", self.step)
        self._compiled = compiled = self.engine.step
        self.meter.start(
            once={
                "system/lowering_time": compiled.lowering_seconds,
                "system/compile_time": compiled.compile_seconds,
            }
        )

    def update(self) -> None:
        """Start the next update and prepare the batch after it while the device works."""
        batch = self.feed.at(self.step)
        self.state, metrics = self._compiled(self.state, batch.arrays)
        self.step += 1
        if not self.finished:
            self.feed.prepare(self.step)
        self.meter.add(self.step, metrics, batch.real_tokens)

    def save(self) -> None:
        """Write a checkpoint of this step and thin out older ones."""
        self.meter.flush()
        self.recorder.phase("saving", self.step)
        info = checkpoint_store.save(
            self.root,
            self.state,
            assembly=self.assembly,
            facts={
                **self.facts,
                "evaluated": self.evaluated_step == self.step,
                "micro_batch": self.engine.micro_batch if self.engine else None,
            },
            loss=self.meter.loss,
        )
        self.saved_step = self.step
        self.recorder.checkpoint(info)
        thin_out(self.root, keep=self.config.keep_checkpoints)
        self._back_to_training()

    def evaluate(self) -> None:
        """Evaluate this step, once; the checkpoint of this step, where there is one, remembers that.

        Raises:
            StopRequestedError: when a stop was asked for meanwhile.
        """
        if self.evaluator is None or self.step in (0, self.evaluated_step):
            return
        self.meter.flush()
        self.recorder.phase("evaluating", self.step)
        report = self.evaluator(
            self.weights,
            step=self.step,
            limit=self.config.final_eval_limit if self.finished else self.config.eval_limit,
            final=self.finished,
            should_stop=self.recorder.should_stop,
        )
        self.recorder.metrics(self.step, report_metrics(report))
        self.recorder.evaluation(report)
        self.evaluated_step = self.step
        if self.finished:
            self.evaluation = report
        if self.saved_step == self.step and (saved := self.root / str(self.step)).is_dir():
            amend(saved, evaluated=True)
        self._back_to_training()

    def stop(self) -> TrainResult:
        """Save what is not saved yet, and end."""
        self.meter.flush()
        if self.step > self.saved_step:
            self.save()
        self.recorder.log(f"Stopped after step {self.step}, as asked.")
        return self.result("stopped")

    def result(self, status: Literal["completed", "stopped"]) -> TrainResult:
        """Say how it ended."""
        return TrainResult(
            status=status,
            step=self.step,
            final_loss=self.meter.loss,
            params_hash=params_hash(self.state.params),
            evaluation=self.evaluation,
        )

    def _back_to_training(self) -> None:
        if not self.finished:
            self.recorder.phase("training", self.step)
        self.meter.start()
