"""A benchmark of one recipe: its start, its steady updates, its parts, and what limits it."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import jax

from training import guards
from training.assembly import TrainState, first_state
from training.bench.parts import time_generation, time_parts
from training.bench.report import (
    WARMUP_STEPS,
    Bench,
    describe,
    energy_facts,
    limit_facts,
    peak_memory,
)
from training.bench.timing import StepTimes, spread, wait
from training.compile_cache import use_cache
from training.config import TrainConfig
from training.data import AnyRows, Batch, batch_indices, make_rows
from training.device import SelectedDevice
from training.errors import ConfigError, TrainingError
from training.examples import TraceExample
from training.planning import Planner
from training.recorder import Recorder
from training.step import to_device
from training.trace_places import places_in
from training.traces import Summary, write_summary

# Batches kept on the device; longer benchmarks go through them again.
MAX_BATCHES: Final = 32
PROFILED_STEPS: Final = 5
PART_REPEATS: Final = 10

# Reads a counter of the energy that the device has used, in joules; None where it has none.
type EnergyCounter = Callable[[], float | None]


def bench(
    *,
    config: TrainConfig,
    examples: Sequence[TraceExample],
    device: SelectedDevice,
    recorder: Recorder,
    steps: int,
    profile_dir: Path | None = None,
    cache_dir: Path | None = None,
    parts: bool = True,
    energy: EnergyCounter = lambda: None,
) -> dict[str, Any]:
    """Time lowering, compiling, the first update, and ``steps`` updates after a short warm-up.

    Every time ends when the updated parameters are there. Seconds, bytes, joules and operations
    throughout; tokens are real ones, ``padded_tokens_per_second`` counts padding too. ``parts``: also
    the forward pass, forward and backward, and generation by themselves. With ``profile_dir`` a trace
    of a few more updates, which are not timed, is written there.

    Raises:
        ConfigError: for fewer than one step, or data that do not fit the recipe.
        TrainingError: when a stop was asked for before the end, or a figure cannot be true.
    """
    if steps < 1:
        raise ConfigError(f"A benchmark needs at least 1 step, not {steps}.")
    recorder.phase("starting", 0)
    use_cache(cache_dir)
    with jax.default_device(device.device):
        rows = make_rows(examples, config, content_hash="", cache_dir=None)
        planner = Planner(config, rows, device.device)
        guards.check(config, rows, examples=examples, vocab_size=planner.assembly.shape.vocab_size)
        cached_before = _entries(cache_dir)
        with planner.memory_message():
            engine = planner.engine(recorder, step=0)
            cache_hit = None if cache_dir is None else _entries(cache_dir) == cached_before
            batches = _batches(rows, config, min(1 + WARMUP_STEPS + steps, MAX_BATCHES))
            placed = [to_device(batch, device.device) for batch in batches]
            held = Bench(engine, rows, batches, placed, device, recorder)
            state = first_state(engine.assembly)
            wait(state)
            recorder.phase("training", 0)
            began = time.perf_counter()
            state, _ = engine.step(state, placed[0])
            wait(state.params)
            first = time.perf_counter() - began
            for number in range(1, 1 + WARMUP_STEPS):
                state, _ = engine.step(state, placed[number % len(placed)])
                wait(state.params)
            counted = energy()
            times, state = _steady(held, state, steps)
            used = energy()
            memory = peak_memory(device.device)
            profiled: Summary | None = None
            if profile_dir is not None:
                state, profiled = _profile(held, state, profile_dir)
            record = describe(held, times, first=first, cache_hit=cache_hit)
            if parts:
                record["parts"] = {
                    **time_parts(
                        engine.assembly,
                        rows,
                        state,
                        placed[0],
                        micro_batch=engine.micro_batch,
                        repeats=min(PART_REPEATS, steps),
                    ),
                    "update": spread(times.total),
                }
                prompts = [example.prompt for example in examples]
                record["generation"] = time_generation(
                    engine.assembly, engine.assembly.weights(state), prompts
                )
            record["memory"] = {**engine.plan.facts(), **memory}
            if profiled is not None:
                record["profile"] = {"steps": PROFILED_STEPS, **profiled.facts()}
            if counted is not None and used is not None:
                record["energy"] = energy_facts(used - counted, record)
            record |= limit_facts(held, state, times)
    recorder.phase("finished", steps)
    return record


def _batches(rows: AnyRows, config: TrainConfig, number: int) -> list[Batch]:
    return [
        rows.batch(batch_indices(rows=len(rows), batch_size=config.batch_size, seed=config.seed, step=step))
        for step in range(number)
    ]


def _steady(held: Bench, state: TrainState, steps: int) -> tuple[StepTimes, TrainState]:
    """Time the updates, and beside them what the host does for each."""
    times, config = StepTimes(), held.engine.assembly.config
    for number in range(steps):
        if held.recorder.should_stop():
            raise TrainingError("The benchmark was stopped before its end; it has no result.")
        step = 1 + WARMUP_STEPS + number
        began = time.perf_counter()
        state, _ = held.engine.step(state, held.placed[step % len(held.placed)])
        called = time.perf_counter()
        wait(state.params)
        ended = time.perf_counter()
        times.total.append(ended - began)
        times.dispatch.append(called - began)
        [batch] = _batches_of_step(held.rows, config, step)
        wait(to_device(batch, held.device.device))
        made = time.perf_counter()
        times.data.append(made - ended)
        held.recorder.metrics(number + 1, {"bench/step_time": times.total[-1]})
        times.logging.append(time.perf_counter() - made)
    return times, state


def _batches_of_step(rows: AnyRows, config: TrainConfig, step: int) -> list[Batch]:
    indices = batch_indices(rows=len(rows), batch_size=config.batch_size, seed=config.seed, step=step)
    return [rows.batch(indices)]


def _profile(held: Bench, state: TrainState, folder: Path) -> tuple[TrainState, Summary]:
    folder.mkdir(parents=True, exist_ok=True)
    with jax.profiler.trace(str(folder)):
        for number in range(PROFILED_STEPS):
            state, _ = held.engine.step(state, held.placed[number % len(held.placed)])
        wait(state.params)
    summary = write_summary(folder, places_in(held.engine.step.executable.as_text()))
    held.recorder.log(f"Profile of {PROFILED_STEPS} updates written to {folder}.")
    return state, summary


def _entries(directory: Path | None) -> int:
    return 0 if directory is None else sum(1 for _ in directory.rglob("*-cache"))
