"""The training loop."""

import gc
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import jax

from training import checkpoint_store
from training.assembly import Assembly, TrainState, assemble, first_state
from training.checkpoints import amend, prepare_root, read_metadata, thin_out
from training.compile_cache import use_cache
from training.config import TrainConfig
from training.data import Rows, batch_indices, build_rows, prompt_overlap, require_supervision
from training.device import SelectedDevice
from training.errors import TrainingError
from training.evaluate import Evaluator, report_metrics
from training.examples import StepChecker, TraceExample
from training.generate import StopRequestedError
from training.hashing import params_hash
from training.metering import StepMeter
from training.provenance import collect
from training.recorder import EvaluationReport, Recorder
from training.resuming import require_continuable
from training.step import CompiledStep, compile_step, to_device

# Python's garbage collector walks everything that JAX has built; after the first updates that
# is all long-lived, and freezing it takes pauses of up to half a second out of long loops.
_FREEZE_AFTER: Final = 2


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


def train(
    *,
    config: TrainConfig,
    train_examples: Sequence[TraceExample],
    test_examples: Sequence[TraceExample],
    recorder: Recorder,
    checkpoint_dir: Path,
    device: SelectedDevice,
    resume_from: Path | None = None,
    checkers: Mapping[str, StepChecker] | None = None,
    metadata: Mapping[str, Any] | None = None,
    cache_dir: Path | None = None,
) -> TrainResult:
    """Train from the start or from a checkpoint to the last step, or until a stop is asked for.

    ``checkpoint_dir`` is this run's own root; ``resume_from`` one of its (or another run's)
    step directories. ``metadata`` is written into every checkpoint.

    Raises:
        ConfigError: when recipe and data do not go together.
        CheckpointError: when ``resume_from`` cannot be used or a checkpoint cannot be written.
        TrainingError: when the device has too little memory.
    """
    recorder.phase("starting", 0)
    use_cache(cache_dir)
    facts = dict(metadata or {})
    with jax.default_device(device.device), _steady_garbage_collector(), _memory_message(config):
        assembly = assemble(config, device.device)
        rows = build_rows(train_examples, target=config.target, sequence_length=config.sequence_length)
        require_supervision(rows)
        evaluator = _make_evaluator(assembly, train_examples, test_examples, recorder, checkers or {})
        _record_provenance(assembly, device, recorder, facts)
        session = _Session(
            assembly=assembly,
            rows=rows,
            evaluator=evaluator,
            recorder=recorder,
            root=checkpoint_dir,
            facts=facts,
        )
        session.begin(resume_from)
        return session.run()


class _Session:
    """One start of a run, from its first or restored state to its end."""

    def __init__(
        self,
        *,
        assembly: Assembly,
        rows: Rows,
        evaluator: Evaluator | None,
        recorder: Recorder,
        root: Path,
        facts: Mapping[str, Any],
    ) -> None:
        self.assembly, self.config, self.rows = assembly, assembly.config, rows
        self.evaluator, self.recorder, self.root, self.facts = evaluator, recorder, root, facts
        self.meter = StepMeter(recorder)
        self.state: TrainState
        self.step = 0
        self.saved_step = self.evaluated_step = 0
        self.evaluation: EvaluationReport | None = None

    def begin(self, resume_from: Path | None) -> None:
        """Draw the first state, or take up a checkpoint's."""
        if resume_from is None:
            self.state = first_state(self.assembly)
        else:
            stored = read_metadata(resume_from)
            require_continuable(stored, self.config, self.facts, self.recorder, resume_from)
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

    def run(self) -> TrainResult:
        """Do all updates that are left, with evaluations and checkpoints where they are due."""
        try:
            self._evaluate_if_due()
            if self.step < self.config.steps:
                self._train(self._compile())
            self.meter.flush()
        except StopRequestedError:
            return self._stop()
        self.recorder.phase("finished", self.step)
        return self._result("completed")

    def _train(self, step_function: CompiledStep) -> None:
        self.recorder.phase("training", self.step)
        self.meter.start()
        first = self.step + 1
        for done in range(first, self.config.steps + 1):
            if self.recorder.should_stop():
                raise StopRequestedError
            batch = self._batch(done - 1)
            self.state, metrics = step_function(self.state, to_device(batch, self.assembly.device))
            self.meter.add(done, metrics, batch.real_tokens)
            self.step = done
            if self._due(self.config.save_every_steps):
                self._save()
            self._evaluate_if_due()
            if done == first + _FREEZE_AFTER:
                gc.freeze()

    def _batch(self, step: int) -> Any:
        return self.rows.batch(
            batch_indices(
                rows=len(self.rows), batch_size=self.config.batch_size, seed=self.config.seed, step=step
            )
        )

    def _compile(self) -> CompiledStep:
        self.recorder.phase("compiling", self.step)
        batch = to_device(self._batch(self.step), self.assembly.device)
        compiled = compile_step(self.assembly, self.state, batch)
        self.recorder.log(
            f"Compiled the update in {compiled.lowering_seconds:.1f} + {compiled.compile_seconds:.1f} s "
            f"(lowering, compiling); rows of {self.rows.width} tokens."
        )
        return compiled

    def _due(self, every: int) -> bool:
        return self.step == self.config.steps or (every > 0 and self.step % every == 0)

    def _evaluate_if_due(self) -> None:
        """Evaluate after a due step, once; also right after a resume when it was cut off there."""
        if (
            self.evaluator is None
            or self.step in (0, self.evaluated_step)
            or not self._due(self.config.eval_every_steps)
        ):
            return
        self.meter.flush()
        self.recorder.phase("evaluating", self.step)
        final = self.step == self.config.steps
        report = self.evaluator(
            self.state.params,
            step=self.step,
            limit=self.config.final_eval_limit if final else self.config.eval_limit,
            final=final,
            should_stop=self.recorder.should_stop,
        )
        self.recorder.metrics(self.step, report_metrics(report))
        self.recorder.evaluation(report)
        self.evaluated_step = self.step
        if final:
            self.evaluation = report
        if self.saved_step == self.step and (saved := self.root / str(self.step)).is_dir():
            amend(saved, evaluated=True)
        self._back_to_training()

    def _save(self) -> None:
        self.meter.flush()
        self.recorder.phase("saving", self.step)
        info = checkpoint_store.save(
            self.root,
            self.state,
            assembly=self.assembly,
            facts={**self.facts, "evaluated": self.evaluated_step == self.step},
            loss=self.meter.loss,
        )
        self.saved_step = self.step
        self.recorder.checkpoint(info)
        thin_out(self.root, keep=self.config.keep_checkpoints)
        self._back_to_training()

    def _back_to_training(self) -> None:
        if self.step < self.config.steps:
            self.recorder.phase("training", self.step)
        self.meter.start()

    def _stop(self) -> TrainResult:
        self.meter.flush()
        if self.step > self.saved_step:
            self._save()
        self.recorder.log(f"Stopped after step {self.step}, as asked.")
        return self._result("stopped")

    def _result(self, status: Literal["completed", "stopped"]) -> TrainResult:
        return TrainResult(
            status=status,
            step=self.step,
            final_loss=self.meter.loss,
            params_hash=params_hash(self.state.params),
            evaluation=self.evaluation,
        )


def _make_evaluator(
    assembly: Assembly,
    train_examples: Sequence[TraceExample],
    test_examples: Sequence[TraceExample],
    recorder: Recorder,
    checkers: Mapping[str, StepChecker],
) -> Evaluator | None:
    if not test_examples:
        recorder.log("The dataset has no test examples, so nothing will be evaluated.")
        return None
    if overlap := prompt_overlap(train_examples, test_examples):
        recorder.log(
            f"Warning: {overlap} of {len(test_examples)} test prompts also stand in the training split."
        )
    return Evaluator(
        assembly,
        test_examples,
        split="test",
        seed=assembly.config.seed,
        train_prompts=frozenset(example.prompt for example in train_examples),
        checkers=checkers,
    )


def _record_provenance(
    assembly: Assembly, device: SelectedDevice, recorder: Recorder, facts: Mapping[str, Any]
) -> None:
    attention = assembly.attention
    if attention.fallback:
        recorder.log(f"Warning: attention falls back to {attention.name}: {attention.reason}.")
    collected = collect(
        device,
        config=assembly.config,
        dataset_key=str(facts.get("dataset_key", "")),
        content_hash=str(facts.get("content_hash", "")),
        argv=sys.argv,
    )
    choices = {
        "attention": {"name": attention.name, "reason": attention.reason, "fallback": attention.fallback},
        "compute_dtype": str(assembly.dtype),
        "model": assembly.shape.model_dump(mode="json"),
    }
    recorder.provenance({**collected, **choices})


@contextmanager
def _steady_garbage_collector() -> Iterator[None]:
    """Undo at the end what the loop freezes, so that a longer-lived process can collect it."""
    try:
        yield
    finally:
        gc.unfreeze()


@contextmanager
def _memory_message(config: TrainConfig) -> Iterator[None]:
    """Say in one sentence that the device's memory did not suffice."""
    try:
        yield
    except jax.errors.JaxRuntimeError as error:
        if "RESOURCE_EXHAUSTED" not in str(error):
            raise
        raise TrainingError(
            f"The device has too little memory for model={config.model} with batch_size="
            f"{config.batch_size}. Set a smaller batch_size or eval_batch_size, a shorter "
            "sequence_length or a smaller model."
        ) from error
