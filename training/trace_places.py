"""Where in the model an operation belongs: read from the names that the compiled program carries.

The model marks its parts with `jax.named_scope`; XLA keeps these marks in the metadata of what it
makes of them, forward as well as backward. Imports no JAX.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

SCOPES: Final = ("embedding", "norm", "projections", "attention", "mlp", "loss", "optimizer")
OTHER: Final = "other"

_NAMED: Final = re.compile(r'^\s*(?:ROOT )?%?([\w.-]+) = .*?metadata=\{op_name="([^"]*)"', re.MULTILINE)
_SCOPE: Final = re.compile(rf"\b({'|'.join(SCOPES)})\b")


@dataclass(frozen=True, slots=True)
class Place:
    """A part of the update, its time in the profiled updates (s, summed over threads) and share."""

    name: str
    seconds: float
    share: float


def places_in(program: str) -> dict[str, str]:
    """Map each operation of a compiled program, given as text, to the part of the update it serves."""
    return {operation: place_of(op_name) for operation, op_name in _NAMED.findall(program)}


def place_of(op_name: str) -> str:
    """Name the part that an operation's metadata tell, such as ``mlp, backward``.

    The innermost mark counts. What is made for the gradient of a part belongs to it.
    """
    marks = _SCOPE.findall(op_name)
    scope = marks[-1] if marks else OTHER
    if scope in {"optimizer", OTHER}:
        return scope
    return f"{scope}, {'backward' if 'transpose(' in op_name else 'forward'}"


def by_place(times: Iterable[tuple[str, float]], places: Mapping[str, str]) -> list[Place]:
    """Sum the own times (operation, seconds) of operations by part, the longest first."""
    sums: dict[str, float] = defaultdict(float)
    for operation, seconds in times:
        sums[places.get(operation, OTHER)] += seconds
    total = sum(sums.values()) or 1.0
    found = [Place(name, seconds, seconds / total) for name, seconds in sums.items()]
    return sorted(found, key=lambda one: -one.seconds)
