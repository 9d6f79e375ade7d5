"""Which checkpoints stay: newest, best, every so many steps, pinned ones, ones with a name, the final one.

Reads only what checkpoints say about themselves; imports no JAX.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from training.checkpoints import is_held, is_pinned, read_metadata, remove, step_dirs
from training.config import TrainConfig
from training.errors import CheckpointError

LOWER_IS_BETTER = frozenset({"eval/loss"})


@dataclass(frozen=True, slots=True)
class Retention:
    """How many checkpoints stay: ``newest`` and ``best`` by ``metric``, and all multiples of ``every``."""

    newest: int
    best: int = 0
    metric: str = "eval/answer_accuracy"
    every: int = 0

    @classmethod
    def of(cls, config: TrainConfig) -> Self:
        """Read it from a recipe."""
        return cls(
            newest=config.keep_checkpoints,
            best=config.keep_best,
            metric=config.best_metric,
            every=config.keep_every_steps,
        )


@dataclass(frozen=True, slots=True)
class Removed:
    """A checkpoint that was deleted, and the bytes that this freed."""

    step: int
    path: Path
    freed_bytes: int


def quality(evaluation: Mapping[str, Any], metric: str, step: int) -> tuple[float, float, int] | None:
    """Rank an evaluation, higher is better: by the metric, then the lower loss, then the later step.

    ``evaluation`` maps metric names to values; None where it holds no such number.
    """
    value, loss = evaluation.get(metric), evaluation.get("eval/loss")
    if not isinstance(value, int | float) or not math.isfinite(value):
        return None
    worst = float("-inf")
    by_loss = -loss if isinstance(loss, int | float) and math.isfinite(loss) else worst
    return (-value if metric in LOWER_IS_BETTER else value, by_loss, step)


def choose_kept(root: Path, retention: Retention) -> dict[Path, str]:
    """Name the checkpoints under the root that stay, each with the first reason why."""
    found = step_dirs(root)
    kept: dict[Path, str] = {}
    for _, path in found[: retention.newest]:
        kept.setdefault(path, "newest")
    ranked = []
    for step, path in found:
        if is_pinned(path):
            kept.setdefault(path, "pinned")
        if is_held(path):
            kept.setdefault(path, "held")
        if retention.every and step % retention.every == 0:
            kept.setdefault(path, "milestone")
        try:
            metadata = read_metadata(path)
        except CheckpointError:
            # Damage is for people to look at, never a reason to delete.
            kept.setdefault(path, "damaged")
            continue
        if metadata.get("final"):
            kept.setdefault(path, "final")
        rank = quality(metadata.get("evaluation") or {}, retention.metric, step)
        if rank is not None:
            ranked.append((rank, path))
    for _, path in sorted(ranked, reverse=True)[: retention.best]:
        kept.setdefault(path, "best")
    return kept


def thin_out(root: Path, retention: Retention) -> list[Removed]:
    """Delete all checkpoints that nothing keeps, and say what that freed."""
    kept = choose_kept(root, retention)
    return [
        Removed(step, path, remove(path))
        for step, path in reversed(step_dirs(root))
        # Somebody may have taken to one of them since they were chosen.
        if path not in kept and not is_pinned(path) and not is_held(path)
    ]
