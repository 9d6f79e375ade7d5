"""What a benchmark records of its measurements."""

import resource
from dataclasses import dataclass, replace
from typing import Any, Final

import jax
import numpy as np

from training.adapters import has_adapters
from training.assembly import TrainState
from training.bench.limits import Work, judge
from training.bench.peaks import measure_peaks
from training.bench.timing import StepTimes, spread
from training.data import AnyRows, Batch
from training.device import SelectedDevice
from training.flops import CONVENTION, forward_flops
from training.memory import tree_bytes
from training.model_config import ModelConfig, parameter_count
from training.planning import Engine
from training.recorder import Recorder
from training.step import DeviceBatch

WARMUP_STEPS: Final = 3


@dataclass(frozen=True, slots=True)
class Bench:
    """What a benchmark has in hand."""

    engine: Engine
    rows: AnyRows
    batches: list[Batch]
    placed: list[DeviceBatch]
    device: SelectedDevice
    recorder: Recorder

    @property
    def shape(self) -> ModelConfig:
        """The model."""
        return self.engine.assembly.shape


def describe(held: Bench, times: StepTimes, *, first: float, cache_hit: bool | None) -> dict[str, Any]:
    """Say what was measured, and the rates that follow from it."""
    engine, rows, device = held.engine, held.rows, held.device
    assembly, compiled = engine.assembly, engine.step
    config, steps, seconds = assembly.config, len(times.total), sum(times.total)
    used = [held.batches[(1 + WARMUP_STEPS + number) % len(held.batches)] for number in range(steps)]
    tokens = sum(batch.real_tokens for batch in used)
    positions = steps * config.batch_size * rows.width
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
        "sequence_length": rows.width,
        "precision": str(assembly.dtype),
        "attention": assembly.attention.name,
        "attention_reason": assembly.attention.reason,
        "remat": config.remat,
        "scan_layers": config.scan_layers,
        "config": config.model_dump(mode="json"),
        "lowering_s": compiled.lowering_seconds,
        "compile_s": compiled.compile_seconds,
        "compile_cache_hit": cache_hit,
        "first_step_s": first,
        "warmup_steps": WARMUP_STEPS,
        "steps": steps,
        "step_time": {**spread(times.total), "series": times.total},
        "host_time": {
            "data": spread(times.data),
            "dispatch": spread(times.dispatch),
            "logging": spread(times.logging),
        },
        "steps_per_second": steps / seconds,
        "examples_per_second": sum(_traces(batch) for batch in used) / seconds,
        "tokens_per_second": tokens / seconds,
        "padded_tokens_per_second": positions / seconds,
        "real_token_share": tokens / positions,
    }


def peak_memory(device: jax.Device) -> dict[str, int | None]:
    """Give the peaks in bytes: the device's own count where it keeps one, and that of this process."""
    stats = device.memory_stats() or {}
    return {
        "device_peak": stats.get("peak_bytes_in_use"),
        # Linux counts in KiB.
        "host_peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    }


def energy_facts(joules: float, record: dict[str, Any]) -> dict[str, float]:
    """Say what energy the steady updates took, the host's work between them included."""
    steps, seconds = record["steps"], sum(record["step_time"]["series"])
    return {
        "joules": joules,
        "joules_per_step": joules / steps,
        "joules_per_token": joules / (record["tokens_per_second"] * seconds),
    }


def limit_facts(held: Bench, state: TrainState, times: StepTimes) -> dict[str, Any]:
    """Hold the median update against what the structure asks for and what the device can do."""
    assembly, config = held.engine.assembly, held.engine.assembly.config
    adapters = None
    if has_adapters(config):
        adapters = sum(leaf.size for leaf in jax.tree.leaves(state.params))
    forward = [forward_flops(held.shape, lengths(batch), adapters) for batch in held.batches]
    useful = float(np.mean([one.update for one in forward]))
    positions = config.batch_size * held.rows.width
    padded = forward_flops(held.shape, [1] * positions, adapters)
    # What padding costs at least: everything but attention, which may skip it.
    attention = float(np.mean([one.attention for one in forward]))
    computed = replace(padded, attention=attention).update
    real = float(np.mean([batch.real_tokens for batch in held.batches])) / positions
    median = spread(times.total)["median"]
    host = spread(times.data)["median"] + spread(times.logging)["median"]
    if held.device.kind != "cpu":
        # On a CPU the call itself may do the work.
        host += spread(times.dispatch)["median"]
    peaks = measure_peaks(held.device.device, dtype=assembly.dtype, device_name=held.device.device_kind)
    work = Work(
        seconds=median,
        useful_flops=useful,
        computed_flops=computed,
        bytes_moved=_least_bytes(state),
        host_seconds=host,
        real_token_share=real,
    )
    return {
        "flops": {
            "convention": CONVENTION,
            "useful_per_step": useful,
            "computed_per_step": computed,
            "forward": {
                name: float(np.mean([getattr(one, name) for one in forward]))
                for name in ("blocks", "attention", "logits")
            },
        },
        "peaks": {
            "product_flops_per_second": peaks.product,
            "copy_bytes_per_second": peaks.copy,
            "specified_flops_per_second": peaks.specified_product,
        },
        "limits": judge(work, peaks).facts(),
    }


def _least_bytes(state: TrainState) -> float:
    """Count what must pass through memory: the state read and written, gradients too, parameters twice.

    What is frozen is read by the forward and by the backward pass.
    """

    def size(tree: Any) -> int:
        return sum(leaf.nbytes for leaf in jax.tree.leaves(tree))

    return float(2 * size(state.saved) + 4 * size(state.params) + 2 * tree_bytes(state.frozen))


def lengths(batch: Batch) -> list[int]:
    """Give the real positions of each trace in a batch."""
    if batch.segments is None:
        # The last supervised position is the trace's last.
        backwards = np.argmax(batch.weights[:, ::-1] > 0, axis=1)
        ends = batch.weights.shape[1] - backwards
        return [int(end) for end in np.where(batch.weights.any(axis=1), ends, 0)]
    found: list[int] = []
    for row in batch.segments:
        counts = np.bincount(row)
        found += [int(count) for count in counts[1:] if count]
    return found


def _traces(batch: Batch) -> int:
    """Count the traces of a batch: a row's segments are numbered from one."""
    return len(batch.inputs) if batch.segments is None else int(batch.segments.max(axis=1).sum())
