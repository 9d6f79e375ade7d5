"""How many bytes the state of an update rule takes. Imports no JAX."""

import math
from typing import Final

from training.config import TrainConfig

FP32: Final = 4
# Adafactor keeps rows and columns of matrices whose smaller side is at least this (optax's default).
_FACTORED_FROM: Final = 128


def optimizer_bytes(
    leaves: list[tuple[int, ...]], kernels: list[tuple[int, ...]], config: TrainConfig
) -> int:
    """Count the state of an update rule for trained arrays; ``kernels`` are those that muon takes.

    Counters of a few bytes are left out.
    """
    numbers = sum(map(math.prod, leaves))
    match config.optimizer:
        case "adamw":
            return 2 * numbers * FP32
        case "muon":
            # One momentum for the matrices, two moments for the rest.
            return (2 * numbers - sum(map(math.prod, kernels))) * FP32
        case "adafactor":
            return sum(map(_factored, leaves)) * FP32
        case "lion" | "sgd":
            return numbers * FP32


def _factored(shape: tuple[int, ...]) -> int:
    """Numbers that Adafactor keeps of an array (Shazeer and Stern, arXiv 1804.04235)."""
    sides = sorted(shape)
    if len(sides) < 2 or sides[-2] < _FACTORED_FROM:
        # The places of rows and columns hold one number each.
        return math.prod(shape) + 2
    whole = math.prod(shape)
    return whole // sides[-1] + whole // sides[-2] + 1
