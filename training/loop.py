"""The training loop."""

import gc
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jax

from training import guards
from training.callbacks import Callback, Evaluate, FreezeGarbage, SaveCheckpoints
from training.compile_cache import use_cache
from training.config import TrainConfig
from training.data import make_rows, prompt_overlap
from training.device import SelectedDevice
from training.evaluate import Evaluator
from training.examples import StepChecker, TraceExample
from training.generate import StopRequestedError
from training.planning import Engine, memory_message, plan_engine
from training.provenance import collect
from training.recorder import Recorder
from training.session import Session, TrainResult


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
    step directories. ``metadata`` is written into every checkpoint. ``cache_dir`` keeps
    compiled programs and packed rows for the next start.

    Raises:
        ConfigError: when recipe and data do not go together.
        CheckpointError: when ``resume_from`` cannot be used or a checkpoint cannot be written.
        TrainingError: when the device has too little memory, or the numbers stay not finite.
    """
    recorder.phase("starting", 0)
    use_cache(cache_dir)
    facts = dict(metadata or {})
    with (
        jax.default_device(device.device),
        _steady_garbage_collector(),
        memory_message(config, device.device),
    ):
        rows = make_rows(
            train_examples, config, content_hash=str(facts.get("content_hash", "")), cache_dir=cache_dir
        )
        for warning in guards.check(config, rows):
            recorder.log(f"Warning: {warning}")
        engine = plan_engine(config, rows, device.device, recorder)
        _record_provenance(engine, rows.facts(), device, recorder, facts)
        evaluator = _make_evaluator(engine, train_examples, test_examples, recorder, checkers or {})
        session = Session(
            engine=engine,
            rows=rows,
            evaluator=evaluator,
            recorder=recorder,
            root=checkpoint_dir,
            facts=facts,
        )
        try:
            session.begin(resume_from)
            return _run(session, [SaveCheckpoints(), Evaluate(), FreezeGarbage()])
        finally:
            session.meter.close()


def _run(session: Session, callbacks: Sequence[Callback]) -> TrainResult:
    """Do all updates that are left, with what the callbacks do after each."""
    recorder = session.recorder
    try:
        Evaluate().after_update(session)
        if not session.finished:
            step_function = session.engine.compile(recorder, session.step)
            recorder.phase("training", session.step)
            session.meter.start(once=step_function.timings())
        while not session.finished:
            if recorder.should_stop():
                raise StopRequestedError
            session.update(step_function)
            for callback in callbacks:
                callback.after_update(session)
        session.meter.flush()
    except StopRequestedError:
        return session.stop()
    recorder.phase("finished", session.step)
    return session.result("completed")


def _make_evaluator(
    engine: Engine,
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
        engine.assembly,
        test_examples,
        split="test",
        seed=engine.assembly.config.seed,
        train_prompts=frozenset(example.prompt for example in train_examples),
        checkers=checkers,
    )


def _record_provenance(
    engine: Engine,
    data: Mapping[str, Any],
    device: SelectedDevice,
    recorder: Recorder,
    facts: Mapping[str, Any],
) -> None:
    assembly = engine.assembly
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
        "data": dict(data),
        "micro_batch": engine.micro_batch,
        "memory": engine.plan.facts(),
    }
    recorder.provenance({**collected, **choices})


@contextmanager
def _steady_garbage_collector() -> Iterator[None]:
    """Undo at the end what the loop freezes, so that a longer-lived process can collect it."""
    try:
        yield
    finally:
        gc.unfreeze()
