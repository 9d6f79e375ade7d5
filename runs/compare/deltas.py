"""How far a figure lies from the baseline's, in a sign and words: colour alone tells nothing."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

Better = Literal["lower", "higher", ""]


@dataclass(frozen=True, slots=True)
class Delta:
    """A difference to the baseline; ``verdict`` is better, worse, or empty where neither is meant."""

    amount: str
    direction: Literal["lower", "higher", "same"]
    verdict: Literal["better", "worse", ""]

    def __str__(self) -> str:
        if self.direction == "same":
            return "same"
        return f"{self.amount} {self.direction}" + (f", {self.verdict}" if self.verdict else "")


def delta(
    value: float | None, base: float | None, *, better: Better, write: Callable[[float], str]
) -> Delta | None:
    """Compare a figure with the baseline's; None where one of them is missing or not finite.

    ``write`` puts the distance, which is not negative, into the figure's unit.
    """
    if value is None or base is None or not (math.isfinite(value) and math.isfinite(base)):
        return None
    distance = value - base
    if distance == 0:
        return Delta("", "same", "")
    direction: Literal["lower", "higher"] = "lower" if distance < 0 else "higher"
    verdict: Literal["better", "worse", ""] = ""
    if better:
        verdict = "better" if direction == better else "worse"
    sign = "−" if distance < 0 else "+"
    return Delta(sign + write(abs(distance)), direction, verdict)
