"""One start of a run, from its first or restored state to its end."""

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from training import checkpoint_store
from training.assembly import Assembly, Params, TrainState, first_state
from training.checkpoints import prepare_root
from training.data import AnyRows
from training.evaluate import Evaluator, report_metrics
from training.feed import Feed
from training.generate import StopRequestedError
from training.hashing import params_hash
from training.metering import StepMeter
from training.ownership import take_over
from training.planning import Engine
from training.recorder import EvaluationReport, Recorder
from training.retention import Retention, quality
from training.saving import Saver
from training.step import CompiledStep

# How often a run that is done looks for room for its last checkpoint.
_ROOM_POLL_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class TrainResult:
    """How a training process ended: all steps done, or stopped with a checkpoint.

    ``final_loss`` is the training loss of the last update; ``params_hash`` is over the
    parameters at the end; ``evaluation`` the final one, None when stopped or without test examples.
    ``saved_step`` is the newest step with a checkpoint on the disk, 0 without one.
    """

    status: Literal["completed", "stopped"]
    step: int
    final_loss: float | None
    params_hash: str
    evaluation: EvaluationReport | None
    saved_step: int


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
        self.meter = StepMeter(
            recorder,
            skip_limit=self.config.skip_limit,
            epochs_a_step=self.config.batch_size / len(rows),
            last_step=self.config.steps,
        )
        self.saver = Saver(root, recorder=recorder, retention=Retention.of(self.config))
        self.state: TrainState
        self._compiled: CompiledStep
        self.step = 0
        self.evaluated_step = -1
        self._started = False
        # What the evaluation of that step said, as far as it is finite.
        self.evaluated_values: dict[str, float] | None = None
        self.evaluation: EvaluationReport | None = None
        self.best: dict[str, Any] | None = None

    @property
    def finished(self) -> bool:
        """Whether all updates have been started."""
        return self.step >= self.config.steps

    @property
    def weights(self) -> Params:
        """What is evaluated: the moving average where there is one, else the parameters."""
        return self.assembly.weights(self.state)

    def begin(self, resume_from: Path | None, stored: Mapping[str, Any] | None, *, inexact: str = "") -> None:
        """Draw the first state, or take up that of a checkpoint with these metadata.

        ``inexact`` says what makes that no exact continuation.
        """
        if resume_from is None or stored is None:
            self.state = first_state(self.assembly)
        else:
            self.state = checkpoint_store.restore(resume_from, assembly=self.assembly)
            self.step = int(self.state.step)
            # A checkpoint of another run is no checkpoint of this one.
            own = resume_from.parent.resolve() == self.root.resolve()
            self.saver.durable_step = self.step if own else 0
            if stored.get("evaluated"):
                self.evaluated_step, self.evaluated_values = self.step, stored.get("evaluation")
            self.best = stored.get("best")
            self.meter.loss = stored.get("loss")
            # A checkpoint from before they were counted does not know them.
            self.meter.tokens_seen = stored.get("tokens_seen")
            self.recorder.resumed(self.step, inexact)
            self.recorder.log(f"Resumed from {resume_from} after step {self.step}.")
        self.root.mkdir(parents=True, exist_ok=True)
        take_over(self.root, int(self.facts.get("attempt", 0)))
        for step, path in prepare_root(self.root, after_step=self.step).items():
            self.recorder.checkpoint_gone(
                step, str(self.root / str(step)), f"overtaken, set aside as {path.name}"
            )

    def due(self, every: int) -> bool:
        """Tell whether something is due that comes every so many updates and after the last."""
        return self.finished or (every > 0 and self.step % every == 0)

    def start(self) -> None:
        """Begin the updates that are left, if there are any."""
        if self.finished or self.engine is None:
            return
        self._started = True
        self.recorder.phase("training", self.step)
        self._compiled = compiled = self.engine.step
        self.meter.start(
            once={
                "system/lowering_time": compiled.lowering_seconds,
                "system/compile_time": compiled.compile_seconds,
            }
        )

    def program(self) -> str:
        """Give the compiled update as text; empty where no update is left to be done."""
        return "" if self.engine is None else str(self.engine.step.executable.as_text())

    def update(self) -> None:
        """Start the next update and prepare the batch after it while the device works."""
        batch = self.feed.at(self.step)
        self.state, metrics = self._compiled(self.state, batch.arrays)
        self.step += 1
        if not self.finished:
            self.feed.prepare(self.step)
        self.meter.add(self.step, metrics, batch.real_tokens)

    def save(self) -> None:
        """Begin to write a checkpoint of this step."""
        self.meter.flush()
        self.recorder.phase("saving", self.step)
        described = checkpoint_store.describe(self.assembly, step=self.step, loss=self.meter.loss)
        engine = {"engine": self.engine.facts_that_decide()} if self.engine else {}
        progress: dict[str, Any] = {
            "evaluated": False,
            "best": self.best,
            "final": self.finished,
            "tokens_seen": self.meter.tokens_seen,
        }
        if self.evaluated_step == self.step:
            # A stop right after an evaluation, or a disk that has room again.
            progress |= {"evaluated": True, "evaluation": self.evaluated_values}
        self.saver.save(self.state, step=self.step, facts={**self.facts, **engine, **progress, **described})
        self._back_to_training()

    def evaluate(self) -> None:
        """Evaluate this step, once; the checkpoint of this step, where there is one, remembers that.

        Step 0 is the model that the run begins with.

        Raises:
            StopRequestedError: when a stop was asked for meanwhile.
        """
        if self.evaluator is None or self.step == self.evaluated_step:
            return
        thorough = self.finished or self.step == 0
        self.meter.flush()
        self.recorder.phase("evaluating", self.step)
        report = self.evaluator(
            self.weights,
            step=self.step,
            limit=self.config.final_eval_limit if thorough else self.config.eval_limit,
            final=self.finished,
            should_stop=self.recorder.should_stop,
        )
        values = report_metrics(report)
        self.recorder.metrics(self.step, values)
        self.recorder.evaluation(report)
        self.evaluated_step = self.step
        if self.finished:
            self.evaluation = report
        finite = {name: value for name, value in values.items() if math.isfinite(value)}
        self.evaluated_values = finite
        if self.step:
            self._remember_best(finite)
            self.saver.amend(self.step, evaluated=True, evaluation=finite, best=self.best)
        self._back_to_training()

    def _remember_best(self, evaluation: dict[str, float]) -> None:
        metric = self.config.best_metric
        rank = quality(evaluation, metric, self.step)
        before = quality(self.best["evaluation"], metric, self.best["step"]) if self.best else None
        if rank is not None and (before is None or rank > before):
            self.best = {"step": self.step, "evaluation": evaluation}

    def stop(self) -> TrainResult:
        """Save what is not saved yet, and end."""
        self.meter.flush()
        self.saver.wait()
        if self.step > self.saver.durable_step:
            self.save()
        self.recorder.phase("saving", self.step)
        self.saver.wait()
        self.recorder.log(f"Stopped after step {self.step}, as asked.")
        if self.saver.durable_step < self.step:
            self.recorder.log(f"Warning: nothing after step {self.saver.durable_step} is saved.")
        return self.result("stopped")

    def complete(self) -> TrainResult:
        """Wait until the last step's checkpoint is on the disk, also for room on it, and end.

        Raises:
            StopRequestedError: when a stop was asked for while there was no room.
        """
        self.meter.flush()
        self.saver.wait()
        while self.saver.paused and self.saver.durable_step < self.step:
            if self.recorder.should_stop():
                raise StopRequestedError
            if self.saver.may_resume():
                self.save()
                self.saver.wait()
            time.sleep(_ROOM_POLL_S)
        self.recorder.phase("finished", self.step)
        return self.result("completed")

    def result(self, status: Literal["completed", "stopped"]) -> TrainResult:
        """Say how it ended."""
        return TrainResult(
            status=status,
            step=self.step,
            final_loss=self.meter.loss,
            params_hash=params_hash(self.state.params),
            evaluation=self.evaluation,
            saved_step=self.saver.durable_step,
        )

    def _back_to_training(self) -> None:
        if not self._started:
            return
        if not self.finished:
            self.recorder.phase("training", self.step)
        self.meter.start()
