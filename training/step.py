"""One update of the parameters, compiled ahead of time."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from training import averaging, finite
from training.accumulation import accumulated_gradients
from training.assembly import Assembly, TrainState, join
from training.data import AnyRows, Batch
from training.loss_chunks import loss_chunk
from training.losses import LossSums, chunked_cross_entropy

type Update = Callable[[TrainState, DeviceBatch], tuple[TrainState, jax.Array]]


class DeviceBatch(NamedTuple):
    """A batch on the device, each of shape (rows, width); ``segments`` is None where a row is one trace."""

    inputs: jax.Array
    targets: jax.Array
    weights: jax.Array
    segments: jax.Array | None


class StepMetrics(NamedTuple):
    """What one update reports, in the order of the fp32 vector that comes back from the device.

    One vector instead of a scalar each: one transfer a step.
    """

    loss_sum: float
    weight: float
    grad_norm: float
    learning_rate: float
    skipped: float
    skipped_in_row: float


@dataclass(frozen=True, slots=True)
class CompiledStep:
    """The compiled update; calling it gives the old state's memory to the new one."""

    executable: Any  # jax.stages.Compiled, which is called without types
    micro_batch: int
    lowering_seconds: float
    compile_seconds: float

    def __call__(self, state: TrainState, batch: DeviceBatch) -> tuple[TrainState, jax.Array]:
        """Start one update and return without waiting for it; the old state must not be used again.

        The second value is the vector of `StepMetrics`.
        """
        result: tuple[TrainState, jax.Array] = self.executable(state, batch)
        return result


def to_device(batch: Batch, device: jax.Device) -> DeviceBatch:
    """Start copying a batch to the device."""
    return DeviceBatch(*jax.device_put((batch.inputs, batch.targets, batch.weights, batch.segments), device))


type Loss = Callable[[Any, DeviceBatch, jax.Array | None], LossSums]


def make_loss(assembly: Assembly, rows: AnyRows) -> Loss:
    """Write the loss of some rows as a function of parameters, rows and the key of dropout.

    Of ``rows`` only the layout is used.
    """
    config, shape = assembly.config, assembly.shape

    def loss_of(params: Any, part: DeviceBatch, key: jax.Array | None) -> LossSums:
        model = assembly.model(params)
        features = model.features(
            part.inputs,
            segments=part.segments,
            reach=rows.reach,
            max_segments=rows.max_segments,
            key=key,
        )
        return chunked_cross_entropy(
            features,
            model.output_matrix(),
            part.targets,
            part.weights,
            chunk=loss_chunk(config.loss_chunk, shape.vocab_size, part.inputs.size),
            z_loss=config.z_loss,
            label_smoothing=config.label_smoothing,
            soft_cap=shape.final_soft_cap,
        )

    return loss_of


def make_update(assembly: Assembly, rows: AnyRows, *, micro_batch: int) -> Update:
    """Write the update as a function: gradients over all micro-batches, then the optimizer.

    ``micro_batch`` divides the rows of a batch; of ``rows`` only the layout is used.
    An update whose loss or gradient is not finite leaves all but the counters as they were.
    """
    config, loss_of = assembly.config, make_loss(assembly, rows)

    def update(state: TrainState, batch: DeviceBatch) -> tuple[TrainState, jax.Array]:
        # Every update has a key of its own, so that nothing but the step decides what is dropped.
        base = jax.random.fold_in(jax.random.wrap_key_data(state.rng), state.step)

        def part_loss(params: Any, part: DeviceBatch, index: jax.Array) -> LossSums:
            key = jax.random.fold_in(base, index) if config.dropout or config.lora_dropout else None
            return loss_of(join(params, state.frozen), part, key)

        sums, gradients = accumulated_gradients(
            part_loss, state.params, batch, micro_batches=batch.inputs.shape[0] // micro_batch
        )
        with jax.named_scope("optimizer"):
            norm = optax.tree.norm(gradients)
            rate = assembly.schedule(state.step)

            def change(trained: tuple[Any, Any, Any]) -> tuple[Any, Any, Any]:
                params, optimizer, average = trained
                directions, optimizer = assembly.optimizer.update(gradients, optimizer, params, norm=norm)
                params = optax.apply_updates(params, optax.tree.scale(rate, directions))
                if average is not None:
                    average = averaging.update(average, params, config.ema_decay)
                return params, optimizer, average

            sound = finite.all_finite(sums.objective, norm)
            changed = finite.change_if(sound, change, (state.params, state.optimizer, state.average))
        skipped, in_row = finite.count(sound, state.skipped, state.skipped_in_row)
        report = (sums.loss, sums.weight, norm, rate, skipped, in_row)
        metrics = jnp.stack([jnp.asarray(value, jnp.float32) for value in report])
        return TrainState(*changed, state.rng, state.step + 1, skipped, in_row, frozen=state.frozen), metrics

    return update


def compile_step(
    assembly: Assembly, rows: AnyRows, state: TrainState, batch: DeviceBatch, *, micro_batch: int
) -> CompiledStep:
    """Compile the update for the shapes of a state and a batch, which may be mere descriptions."""
    update = make_update(assembly, rows, micro_batch=micro_batch)
    began = time.perf_counter()
    lowered = jax.jit(update, donate_argnums=0).lower(state, batch)
    between = time.perf_counter()
    executable = lowered.compile()
    return CompiledStep(executable, micro_batch, between - began, time.perf_counter() - between)
