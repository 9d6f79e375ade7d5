"""AdamW with warm-up, cosine decay and clipping of the global gradient norm, by Optax."""

from typing import Any

import jax
import optax

from training.config import TrainConfig


def effective_warmup(config: TrainConfig) -> int:
    """Return the warm-up steps that are used: never more than a quarter of all steps."""
    return min(config.warmup_steps, config.steps // 4)


def learning_rate_schedule(config: TrainConfig) -> optax.Schedule:
    """Map the 0-based update to its rate.

    The first update already moves (by peak / warm-up), the last warm-up update has the peak
    rate, and the cosine from there on would reach the final rate right after the last update.
    """
    warmup = effective_warmup(config)
    decay = optax.cosine_decay_schedule(
        config.learning_rate,
        max(1, config.steps - warmup),
        alpha=config.final_learning_rate / config.learning_rate,
    )
    if not warmup:
        return decay
    rise = optax.linear_schedule(config.learning_rate / warmup, config.learning_rate, max(1, warmup - 1))
    return optax.join_schedules([rise, decay], [warmup])


def make_optimizer(config: TrainConfig) -> optax.GradientTransformation:
    """Build the optimizer; weight decay acts on matrices, not on norm scales."""
    return optax.chain(
        optax.clip_by_global_norm(config.clip_norm),
        optax.adamw(
            learning_rate_schedule(config),
            b1=config.beta1,
            b2=config.beta2,
            eps=config.epsilon,
            weight_decay=config.weight_decay,
            mask=_matrices,
        ),
    )


def _matrices(params: Any) -> Any:
    return jax.tree.map(lambda leaf: leaf.ndim >= 2, params)
