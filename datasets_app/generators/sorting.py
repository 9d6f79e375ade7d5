"""Sorting by selection: the smallest number left goes to the end of the sorted ones."""

import math
import re

from datasets_app.generators.draw import Draw
from datasets_app.generators.family import Family

_PROMPT = re.compile(r"sort((?: (?:0|[1-9][0-9]?)){2,50})")
_STEP = re.compile(r"((?:[0-9]{1,2} )+)\|((?: [0-9]{1,2})*)")

type Halves = tuple[tuple[int, ...], tuple[int, ...]]


class Sorting(Family[list[int], Halves]):
    """The state is the sorted part and what is left in the given order."""

    name = "sorting"
    version = 1
    summary = "sort different numbers below 100 by selection; each step writes the sorted part and the rest"
    step_type = "select"

    def __init__(self, shortest: int = 4, longest: int = 6) -> None:
        self.shortest = shortest
        self.longest = longest

    @property
    def capacity(self) -> int:
        """Count the ordered choices of different numbers below 100."""
        return sum(math.perm(100, size) for size in range(self.shortest, self.longest + 1))

    @property
    def parameters(self) -> dict[str, int]:
        """The shortest and the longest list."""
        return {"shortest": self.shortest, "longest": self.longest}

    def draw(self, draw: Draw) -> str:
        """Make a prompt such as ``sort 42 17 93 8``."""
        numbers = draw.sample(range(100), draw.between(self.shortest, self.longest))
        return "sort " + " ".join(map(str, numbers))

    def read_prompt(self, prompt: str) -> list[int] | None:
        """Read the numbers."""
        found = _PROMPT.fullmatch(prompt)
        numbers = [int(text) for text in found[1].split()] if found else []
        fits = self.shortest <= len(numbers) <= self.longest and len(set(numbers)) == len(numbers)
        return numbers if fits else None

    def start(self, problem: list[int]) -> Halves:
        """Start with nothing sorted."""
        return (), tuple(problem)

    def advance(self, problem: list[int], index: int, state: Halves) -> tuple[str, Halves] | None:
        """Write a line such as ``8 17 | 42 93``."""
        done, left = state
        if index >= len(problem) or not left:
            return None
        smallest = min(left)
        at = left.index(smallest)
        after = ((*done, smallest), left[:at] + left[at + 1 :])
        line = f"{' '.join(map(str, after[0]))} | {' '.join(map(str, after[1]))}"
        return line.rstrip(), after

    def read_step(self, problem: list[int], state: Halves | None, line: str) -> Halves | None:
        """Read the two halves."""
        found = _STEP.fullmatch(line)
        if not found:
            return None
        done, left = (tuple(int(text) for text in half.split()) for half in found.groups())
        return done, left

    def answer(self, problem: list[int], state: Halves) -> str:
        """Give the sorted numbers."""
        return " ".join(map(str, state[0]))
