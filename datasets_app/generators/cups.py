"""Shuffled cups: a ball lies under one of five cups, cups change places, where is the ball?"""

import re

from datasets_app.generators.draw import Draw
from datasets_app.generators.family import Family

_STEP = re.compile(r"[0-9]-[0-9]: ([0-9])")

type Swap = tuple[int, int]


class Cups(Family[tuple[int, list[Swap]], int]):
    """The state is the place of the ball; each step names two places that change cups."""

    name = "cups"
    version = 1
    summary = "a ball under shuffled cups; each step writes the swap and where the ball is after it"
    step_type = "swap"

    def __init__(self, cups: int = 5, swaps: int = 8) -> None:
        self.cups = cups
        self.swaps = swaps
        self._pairs = [(low, high) for high in range(2, cups + 1) for low in range(1, high)]
        place = f"[1-{cups}]"
        self._prompt = re.compile(rf"ball ({place}):((?: {place}-{place}){{{swaps}}})")

    @property
    def capacity(self) -> int:
        """Places of the ball times pairs of cups in each swap."""
        return int(self.cups * len(self._pairs) ** self.swaps)

    @property
    def parameters(self) -> dict[str, int]:
        """The numbers of cups and swaps."""
        return {"cups": self.cups, "swaps": self.swaps}

    def draw(self, draw: Draw) -> str:
        """Make a prompt such as ``ball 3: 1-4 2-5``."""
        ball = draw.between(1, self.cups)
        swaps = [draw.choice(self._pairs) for _ in range(self.swaps)]
        return f"ball {ball}: " + " ".join(f"{low}-{high}" for low, high in swaps)

    def read_prompt(self, prompt: str) -> tuple[int, list[Swap]] | None:
        """Read the place of the ball and the swaps."""
        found = self._prompt.fullmatch(prompt)
        if not found:
            return None
        swaps = [(int(pair[0]), int(pair[2])) for pair in found[2].split()]
        return None if any(low >= high for low, high in swaps) else (int(found[1]), swaps)

    def start(self, problem: tuple[int, list[Swap]]) -> int:
        """Start where the ball is put."""
        return problem[0]

    def advance(self, problem: tuple[int, list[Swap]], index: int, state: int) -> tuple[str, int] | None:
        """Write a line such as ``1-4: 3``."""
        swaps = problem[1]
        if index >= len(swaps):
            return None
        low, high = swaps[index]
        ball = {low: high, high: low}.get(state, state)
        return f"{low}-{high}: {ball}", ball

    def read_step(self, problem: tuple[int, list[Swap]], state: int | None, line: str) -> int | None:
        """Read the place after the colon."""
        found = _STEP.fullmatch(line)
        return int(found[1]) if found else None

    def answer(self, problem: tuple[int, list[Swap]], state: int) -> str:
        """Give the last place of the ball."""
        return str(state)
