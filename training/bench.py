"""How fast the update of a recipe runs on a device, phase by phase."""

import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import jax

from training import guards
from training.assembly import first_state
from training.compile_cache import use_cache
from training.config import TrainConfig
from training.data import Batch, batch_indices, make_rows
from training.device import SelectedDevice
from training.errors import ConfigError, TrainingError
from training.examples import TraceExample
from training.model_config import parameter_count
from training.planning import Planner
from training.recorder import Recorder
from training.step import to_device

WARMUP_STEPS: Final = 3


def bench(
    *,
    config: TrainConfig,
    examples: Sequence[TraceExample],
    device: SelectedDevice,
    recorder: Recorder,
    steps: int,
    profile_dir: Path | None = None,
    cache_dir: Path | None = None,
) -> dict[str, Any]:
    """Time lowering, compiling, the first update, and ``steps`` updates after a short warm-up.

    Every time ends when the updated parameters are there. Seconds throughout; tokens are
    real ones, ``padded_tokens_per_second`` counts padding too. With ``profile_dir`` a trace
    of a few more updates, which are not timed, is written there.

    Raises:
        ConfigError: for fewer than one step, or data that do not fit the recipe.
        TrainingError: when a stop was asked for before the end.
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
            assembly, compiled = engine.assembly, engine.step
            batches = [
                rows.batch(
                    batch_indices(rows=len(rows), batch_size=config.batch_size, seed=config.seed, step=step)
                )
                for step in range(min(1 + WARMUP_STEPS + steps, 64))
            ]
            placed = [to_device(batch, device.device) for batch in batches]
            state = first_state(assembly)

        recorder.phase("training", 0)
        series: list[float] = []
        tokens = traces = 0
        for i in range(1 + WARMUP_STEPS + steps):
            if recorder.should_stop():
                raise TrainingError("The benchmark was stopped before its end; it has no result.")
            began = time.perf_counter()
            state, _ = compiled(state, placed[i % len(placed)])
            jax.block_until_ready(state.params)  # type: ignore[no-untyped-call]  # JAX leaves it untyped
            series.append(time.perf_counter() - began)
            if i > WARMUP_STEPS:
                tokens += batches[i % len(placed)].real_tokens
                traces += _traces(batches[i % len(placed)])
        if profile_dir is not None:
            profile_dir.mkdir(parents=True, exist_ok=True)
            with jax.profiler.trace(str(profile_dir)):
                for batch in placed[:5]:
                    state, _ = compiled(state, batch)
                jax.block_until_ready(state.params)  # type: ignore[no-untyped-call]  # as above
            recorder.log(f"Profile of {len(placed[:5])} updates written to {profile_dir}.")
    recorder.phase("finished", steps)
    steady = series[1 + WARMUP_STEPS :]
    seconds = sum(steady)
    return {
        "device": {
            "kind": device.kind,
            "device_kind": device.device_kind,
            "physical_index": device.physical_index,
            "uuid": device.uuid,
        },
        "model": config.model,
        "parameters": parameter_count(assembly.shape),
        "batch_size": config.batch_size,
        "micro_batch": engine.micro_batch,
        "packing": config.packing,
        "memory": engine.plan.facts(),
        "sequence_length": rows.width,
        "precision": str(assembly.dtype),
        "attention": assembly.attention.name,
        "attention_reason": assembly.attention.reason,
        "lowering_s": compiled.lowering_seconds,
        "compile_s": compiled.compile_seconds,
        "compile_cache_hit": cache_hit,
        "first_step_s": series[0],
        "warmup_steps": WARMUP_STEPS,
        "steps": steps,
        "step_time": {**_spread(steady), "series": steady},
        "steps_per_second": steps / seconds,
        "examples_per_second": traces / seconds,
        "tokens_per_second": tokens / seconds,
        "padded_tokens_per_second": steps * config.batch_size * rows.width / seconds,
        "real_token_share": tokens / (steps * config.batch_size * rows.width),
    }


def _spread(values: Sequence[float]) -> dict[str, float]:
    if len(values) == 1:
        return {"median": values[0], "p10": values[0], "p90": values[0]}
    tenths = statistics.quantiles(values, n=10, method="inclusive")
    return {"median": statistics.median(values), "p10": tenths[0], "p90": tenths[-1]}


def _traces(batch: Batch) -> int:
    """Count the traces of a batch: a row's segments are numbered from one."""
    return len(batch.inputs) if batch.segments is None else int(batch.segments.max(axis=1).sum())


def _entries(directory: Path | None) -> int:
    return 0 if directory is None else sum(1 for _ in directory.rglob("*-cache"))
