"""The training loop."""

import gc
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import jax

from training import guards
from training.assembly import Assembly, assemble
from training.bases import is_base
from training.callbacks import Callback, Evaluate, FreezeGarbage, Profile, SaveCheckpoints
from training.checkpoint_store import base_facts
from training.checkpoints import read_metadata
from training.compile_cache import use_cache
from training.config import TrainConfig
from training.data import make_rows, prompt_overlap
from training.device import SelectedDevice
from training.evaluate import Evaluator
from training.examples import StepChecker, TraceExample
from training.generate import StopRequestedError
from training.grading import DEFAULT
from training.planning import Planner
from training.provenance import collect
from training.recorder import Recorder
from training.resuming import is_same_run, require_continuable, require_exact
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
    allow_inexact: bool = False,
    stop_after: int | None = None,
    profile: tuple[int, int, Path] | None = None,
    grader: str = DEFAULT,
) -> TrainResult:
    """Train from the start or from a checkpoint to the last step, or until a stop is asked for.

    ``checkpoint_dir`` is this run's own root; ``resume_from`` one of its (or another run's)
    step directories. ``metadata`` is written into every checkpoint. ``cache_dir`` keeps
    compiled programs and packed rows for the next start. ``allow_inexact``: go on also where
    that cannot give the same bits as never stopping, and say so. ``stop_after``: complete after
    this step already, with the recipe and so its schedules as they are. ``profile``: write a trace of
    the updates from one to another, both included, into a folder. ``grader``: of evaluations where the
    recipe leaves that to the data.

    Raises:
        ConfigError: when recipe and data do not go together.
        CheckpointError: when ``resume_from`` cannot be used, or not exactly.
        TrainingError: when the device has too little memory, or the numbers stay not finite.
    """
    recorder.phase("starting", 0)
    use_cache(cache_dir)
    facts = dict(metadata or {})
    with jax.default_device(device.device), _steady_garbage_collector():
        rows = make_rows(
            train_examples, config, content_hash=str(facts.get("content_hash", "")), cache_dir=cache_dir
        )
        planner = Planner(config, rows, device.device)
        vocabulary = planner.assembly.shape.vocab_size
        for warning in guards.check(config, rows, examples=train_examples, vocab_size=vocabulary):
            recorder.log(f"Warning: {warning}")
        told = _provenance(planner.assembly, rows.facts(), device, recorder, facts)
        stored, step = None, 0
        if resume_from is not None:
            stored = read_metadata(resume_from)
            require_continuable(stored, config, facts, where=resume_from)
            step = int(stored["step"])
        # A start that may yet be refused leaves the record of what made the run.
        if stored is None or not is_same_run(stored, facts):
            recorder.provenance(told)
        with planner.memory_message():
            engine, inexact = None, ""
            if step < config.steps:
                before = ((stored or {}).get("engine") or {}).get("micro_batch")
                engine = planner.engine(recorder, step=step, micro_batch=None if allow_inexact else before)
                if stored is not None:
                    inexact = require_exact(stored, config, facts, engine, allowed=allow_inexact)
                told |= engine.facts() | {"resolved": engine.resolved()}
                recorder.provenance(told)
            session = Session(
                assembly=planner.assembly,
                engine=engine,
                rows=rows,
                evaluator=_make_evaluator(
                    planner.assembly, train_examples, test_examples, recorder, checkers or {}, grader
                ),
                recorder=recorder,
                root=checkpoint_dir,
                facts=facts,
            )
            callbacks: list[Callback] = [SaveCheckpoints(), Evaluate(), FreezeGarbage()]
            profiler = Profile(*profile) if profile else None
            with ExitStack() as opened:
                opened.enter_context(closing(session.saver))
                opened.enter_context(closing(session.meter))
                if profiler is not None:
                    opened.enter_context(closing(profiler))
                session.begin(resume_from, stored, inexact=inexact)
                return _run(session, callbacks, stop_after, profiler)


def _run(
    session: Session, callbacks: list[Callback], stop_after: int | None, profiler: Profile | None
) -> TrainResult:
    """Do all updates that are left, with what the callbacks do after each."""
    recorder = session.recorder
    try:
        Evaluate().after_update(session)
        session.start()
        if profiler is not None:
            profiler.before_first(session)
            callbacks = [*callbacks, profiler]
        while not session.finished and (stop_after is None or session.step < stop_after):
            if recorder.should_stop():
                raise StopRequestedError
            session.update()
            for callback in callbacks:
                callback.after_update(session)
        return session.complete()
    except StopRequestedError:
        return session.stop()


def _make_evaluator(
    assembly: Assembly,
    train_examples: Sequence[TraceExample],
    test_examples: Sequence[TraceExample],
    recorder: Recorder,
    checkers: Mapping[str, StepChecker],
    grader: str,
) -> Evaluator | None:
    if not test_examples:
        recorder.log("The dataset has no test examples, so nothing will be evaluated.")
        return None
    if overlap := prompt_overlap(train_examples, test_examples):
        recorder.log(
            f"Warning: {overlap} of {len(test_examples)} test prompts also stand in the training split."
        )
    return Evaluator(
        # Held-out rows hold one trace each, which another attention may serve better.
        assemble(assembly.config, assembly.device),
        test_examples,
        split="test",
        seed=assembly.config.seed,
        train_prompts=frozenset(example.prompt for example in train_examples),
        checkers=checkers,
        grader=grader if assembly.config.grader == DEFAULT else assembly.config.grader,
    )


def _provenance(
    assembly: Assembly,
    data: Mapping[str, Any],
    device: SelectedDevice,
    recorder: Recorder,
    facts: Mapping[str, Any],
) -> dict[str, Any]:
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
        **({"base": base_facts(assembly)} if is_base(assembly.config.model) else {}),
        "data": dict(data),
    }
    return {**collected, **choices}


@contextmanager
def _steady_garbage_collector() -> Iterator[None]:
    """Undo at the end what the loop freezes, so that a longer-lived process can collect it."""
    try:
        yield
    finally:
        gc.unfreeze()
