"""One update of the parameters, compiled ahead of time."""

import time
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import optax

from training.assembly import Assembly, TrainState
from training.data import Batch
from training.losses import cross_entropy


class DeviceBatch(NamedTuple):
    """A batch on the device: inputs, targets and weights, each (rows, width)."""

    inputs: jax.Array
    targets: jax.Array
    weights: jax.Array


class StepMetrics(NamedTuple):
    """What one update reports, as scalars still on the device."""

    loss_sum: jax.Array
    weight: jax.Array
    grad_norm: jax.Array
    learning_rate: jax.Array


@dataclass(frozen=True, slots=True)
class CompiledStep:
    """The compiled update; calling it gives the old state's memory to the new one."""

    executable: Any  # jax.stages.Compiled, which is called without types
    lowering_seconds: float
    compile_seconds: float

    def __call__(self, state: TrainState, batch: DeviceBatch) -> tuple[TrainState, StepMetrics]:
        """Start one update and return without waiting for it; the old state must not be used again."""
        result: tuple[TrainState, StepMetrics] = self.executable(state, batch)
        return result


def to_device(batch: Batch, device: jax.Device) -> DeviceBatch:
    """Start copying a batch to the device."""
    return DeviceBatch(*jax.device_put((batch.inputs, batch.targets, batch.weights), device))


def compile_step(assembly: Assembly, state: TrainState, batch: DeviceBatch) -> CompiledStep:
    """Compile the update for the shapes of this state and batch; both stay usable."""

    def update(state: TrainState, batch: DeviceBatch) -> tuple[TrainState, StepMetrics]:
        def mean_loss(params: Any) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
            logits = assembly.model(params)(batch.inputs)
            total, weight = cross_entropy(logits, batch.targets, batch.weights)
            return total / weight, (total, weight)

        (_, (total, weight)), gradients = jax.value_and_grad(mean_loss, has_aux=True)(state.params)
        changes, optimizer = assembly.optimizer.update(gradients, state.optimizer, state.params)
        metrics = StepMetrics(total, weight, optax.tree.norm(gradients), assembly.schedule(state.step))
        params = optax.apply_updates(state.params, changes)
        return TrainState(params, optimizer, state.rng, state.step + 1), metrics

    began = time.perf_counter()
    lowered = jax.jit(update, donate_argnums=0).lower(state, batch)
    between = time.perf_counter()
    executable = lowered.compile()
    return CompiledStep(executable, between - began, time.perf_counter() - between)
