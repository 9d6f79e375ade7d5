"""Update rules and learning rate schedules, by Optax.

The rules give updates for a learning rate of one; whoever applies them multiplies by the
schedule's rate at the run's own step. So a skipped update cannot put the two out of step.
"""

from collections.abc import Callable
from typing import Any, Final

import jax
import jax.numpy as jnp
import optax
import optax.contrib

from training.config import TrainConfig

# Muon's usual momentum (Jordan et al., github.com/KellerJordan/Muon). beta1 belongs to the
# AdamW that takes the rest.
_MUON_MOMENTUM: Final = 0.95
# The root mean square of a Muon update, close to AdamW's, so that one rate serves both
# (Liu et al., arXiv 2502.16982, section 2.2).
_MUON_UPDATE_RMS: Final = 0.2


def effective_warmup(config: TrainConfig) -> int:
    """Return the warm-up updates: the share where one is set, else the steps, at most a quarter of all."""
    if config.warmup_share:
        return max(1, round(config.warmup_share * config.steps))
    return min(config.warmup_steps, config.steps // 4)


def learning_rate_schedule(config: TrainConfig) -> optax.Schedule:
    """Map the 0-based update to its rate.

    The first update already moves (by peak / warm-up) and the last warm-up update has the peak
    rate. From there cosine and linear fall over all updates that are left, wsd only over the
    last ``decay_share`` of all updates, in a line; each would reach the final rate right after
    the last update.
    """
    warmup = effective_warmup(config)
    after = _after_warmup(config, config.steps - warmup)
    if not warmup:
        return after
    rise = optax.linear_schedule(config.learning_rate / warmup, config.learning_rate, max(1, warmup - 1))
    return optax.join_schedules([rise, after], [warmup])


def _after_warmup(config: TrainConfig, steps: int) -> optax.Schedule:
    peak, final = config.learning_rate, config.final_learning_rate
    match config.schedule:
        case "constant":
            return optax.constant_schedule(peak)
        case "cosine":
            return optax.cosine_decay_schedule(peak, max(1, steps), alpha=final / peak)
        case "linear":
            return optax.linear_schedule(peak, final, max(1, steps))
        case "wsd":
            falling = min(steps, max(1, round(config.decay_share * config.steps)))
            return optax.linear_schedule(peak, final, max(1, falling), transition_begin=steps - falling)


def make_optimizer(config: TrainConfig) -> optax.GradientTransformationExtraArgs:
    """Build clipping, update rule and decoupled weight decay; updates are for a learning rate of one.

    Decay acts on matrices, not on norm scales and biases. An update takes the global norm of the gradients
    as ``norm`` where it is known already.
    """
    clip = [_clip_by_global_norm(config.clip_norm)] if config.clip_norm else []
    decay = optax.add_decayed_weights(config.weight_decay, mask=_by_place(_is_matrix))
    return optax.chain(*clip, _rule(config), decay, optax.scale(-1.0))


def _clip_by_global_norm(limit: float) -> optax.GradientTransformationExtraArgs:
    """Scale gradients of a larger global norm down to it (Pascanu et al., arXiv 1211.5063).

    By one factor for all: a product is cheap enough to be taken wherever a gradient is read. The quotients
    of optax's own are kept as a copy of all gradients.
    """

    def update(
        gradients: Any, state: Any, _params: Any = None, *, norm: jax.Array | None = None, **_others: Any
    ) -> tuple[Any, Any]:
        norm = optax.tree.norm(gradients) if norm is None else norm
        factor = jnp.where(norm > limit, limit / norm, 1.0)
        return jax.tree.map(lambda leaf: leaf * factor.astype(leaf.dtype), gradients), state

    return optax.GradientTransformationExtraArgs(lambda _: optax.EmptyState(), update)


def _rule(config: TrainConfig) -> optax.GradientTransformation:
    match config.optimizer:
        case "adamw":
            return _adam(config)
        case "adafactor":
            # Without the parameters' own scale as a factor a rate means what it means for AdamW
            # (as Zhai et al., arXiv 2106.04560, section 3.5). Layers that are scanned over share
            # the limit of one on an update's root mean square.
            return optax.chain(optax.scale_by_factored_rms(), optax.clip_by_block_rms(1.0))
        case "lion":
            return optax.scale_by_lion(b1=config.beta1, b2=config.beta2)
        case "muon":
            names = _by_place(lambda path, leaf: "muon" if _is_block_kernel(path, leaf) else "adamw")
            return optax.partition({"muon": _muon(), "adamw": _adam(config)}, names)
        case "sgd":
            return optax.trace(decay=config.beta1)


def _adam(config: TrainConfig) -> optax.GradientTransformation:
    return optax.scale_by_adam(b1=config.beta1, b2=config.beta2, eps=config.epsilon)


def _muon() -> optax.GradientTransformation:
    """Orthogonalise the momentum of each matrix, the last two axes; axes before them count matrices."""

    def axes(tree: Any) -> Any:
        return jax.tree.map(lambda _: optax.contrib.MuonDimensionNumbers(-2, -1), tree)

    def to_rms(tree: Any, _params: Any = None) -> Any:
        return jax.tree.map(lambda leaf: _MUON_UPDATE_RMS * max(leaf.shape[-2:]) ** 0.5 * leaf, tree)

    return optax.chain(
        optax.contrib.scale_by_muon(beta=_MUON_MOMENTUM, weight_dimension_numbers=axes),
        optax.stateless(to_rms),
    )


def _by_place(choose: Callable[[tuple[str, ...], Any], Any]) -> Callable[[Any], Any]:
    """Make a function that maps each leaf of a tree by its path's names and the leaf."""

    def map_tree(tree: Any) -> Any:
        return jax.tree_util.tree_map_with_path(
            lambda path, leaf: choose(tuple(_name(key) for key in path), leaf), tree
        )

    return map_tree


def _name(key: Any) -> str:
    """Return the text of one key of a path, whichever kind of container it leads into."""
    return str(next(getattr(key, kind) for kind in ("key", "name", "idx") if hasattr(key, kind)))


def _is_matrix(path: tuple[str, ...], leaf: Any) -> bool:
    return bool(jnp.ndim(leaf) - _is_stack(path) >= 2)


def _is_block_kernel(path: tuple[str, ...], leaf: Any) -> bool:
    return "blocks" in path and "kernel" in path and _is_matrix(path, leaf)


def _is_stack(path: tuple[str, ...]) -> bool:
    """Tell whether a leaf holds all layers on a first axis: its blocks carry no number."""
    return "blocks" in path and not path[path.index("blocks") + 1].isdigit()
