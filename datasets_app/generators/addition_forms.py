"""Three ways to write an addition: the sum alone, its digits reversed, or a scratchpad.

After "Teaching Arithmetic to Small Transformers" (arXiv 2307.03381): the plain sum asks for the
first digit first, which hangs on every carry; reversed, each digit hangs on its column alone; the
simplified scratchpad writes digit and carry of each column.
"""

import re

from datasets_app.generators.draw import Draw
from datasets_app.generators.family import Family

# Files of others also add zero, which is never drawn here.
_PROMPT = re.compile(r"(0|[1-9][0-9]*)\+(0|[1-9][0-9]*)")
_REVERSED = re.compile(r"reversed: ([0-9]{1,20})")
_COLUMN = re.compile(r"A ([0-9]), C ([01])")

type Sum = tuple[str, str]


class _AdditionForm[StateT](Family[Sum, StateT]):
    """Two numbers of ``shortest`` to ``longest`` digits; the forms differ in their steps alone."""

    def __init__(self, shortest: int = 1, longest: int = 3) -> None:
        self.shortest = shortest
        self.longest = longest

    @property
    def capacity(self) -> int:
        """Count the ordered pairs of numbers."""
        return int((10**self.longest - 10 ** (self.shortest - 1)) ** 2)

    @property
    def parameters(self) -> dict[str, int]:
        """The shortest and the longest number, in digits."""
        return {"shortest": self.shortest, "longest": self.longest}

    def prompt_for(self, *, seed: int, index: int, attempt: int) -> str:
        """Make the prompt of (seed, index, try): the same one in every form, so that they compare."""
        return self.draw(Draw(f"addition_forms/1/{self.shortest}-{self.longest}/{seed}/{index}/{attempt}"))

    def draw(self, draw: Draw) -> str:
        """Make a prompt such as ``482+97``, every pair equally likely."""
        low, high = 10 ** (self.shortest - 1), 10**self.longest - 1
        return f"{draw.between(low, high)}+{draw.between(low, high)}"

    def read_prompt(self, prompt: str) -> Sum | None:
        """Read the two numbers."""
        found = _PROMPT.fullmatch(prompt)
        if not found:
            return None
        fits = all(self.shortest <= len(number) <= self.longest for number in found.groups())
        return (found[1], found[2]) if fits else None


class PlainAddition(_AdditionForm[int]):
    """No steps at all: the answer stands alone. The state is nothing."""

    name = "addition_plain"
    version = 1
    summary = "addition with no steps: the sum alone, its first digit first"
    step_type = "sum"

    def start(self, problem: Sum) -> int:
        """Start with the sum, for nothing leads up to it."""
        return int(problem[0]) + int(problem[1])

    def advance(self, problem: Sum, index: int, state: int) -> tuple[str, int] | None:
        """Give no step."""
        return None

    def read_step(self, problem: Sum, state: int | None, line: str) -> int | None:
        """Read nothing: there is no step to read."""
        return None

    def answer(self, problem: Sum, state: int) -> str:
        """Give the sum."""
        return str(state)


class ReversedAddition(_AdditionForm[str]):
    """One step: the digits of the sum from the last to the first. The state is these digits."""

    name = "addition_reversed"
    version = 1
    summary = "addition with one step: the digits of the sum, the last one first"
    step_type = "reverse"

    def start(self, problem: Sum) -> str:
        """Start with no digit."""
        return ""

    def advance(self, problem: Sum, index: int, state: str) -> tuple[str, str] | None:
        """Write a line such as ``reversed: 975``."""
        if index > 0:
            return None
        digits = str(int(problem[0]) + int(problem[1]))[::-1]
        return f"reversed: {digits}", digits

    def read_step(self, problem: Sum, state: str | None, line: str) -> str | None:
        """Read the digits."""
        found = _REVERSED.fullmatch(line)
        return found[1] if found else None

    def answer(self, problem: Sum, state: str) -> str:
        """Turn the digits round."""
        return state[::-1]


class ScratchpadAddition(_AdditionForm[tuple[int, str]]):
    """A step a column: its digit and its carry. The state is the carry and the digits so far."""

    name = "addition_scratchpad"
    version = 1
    summary = "addition with a simplified scratchpad: digit (A) and carry (C) of each column, the last first"
    step_type = "column"

    def start(self, problem: Sum) -> tuple[int, str]:
        """Start with no carry and no digit."""
        return 0, ""

    def advance(self, problem: Sum, index: int, state: tuple[int, str]) -> tuple[str, tuple[int, str]] | None:
        """Write a line such as ``A 9, C 1``."""
        carry, digits = state
        width = max(map(len, problem))
        if index >= width:
            return None
        left, right = (int(number.zfill(width)[-1 - index]) for number in problem)
        carry, digit = divmod(left + right + carry, 10)
        return f"A {digit}, C {carry}", (carry, f"{digit}{digits}")

    def read_step(self, problem: Sum, state: tuple[int, str] | None, line: str) -> tuple[int, str] | None:
        """Read digit and carry."""
        found = _COLUMN.fullmatch(line)
        return (int(found[2]), f"{found[1]}{state[1]}") if found and state is not None else None

    def answer(self, problem: Sum, state: tuple[int, str]) -> str:
        """Put the last carry before the digits."""
        return f"{state[0] or ''}{state[1]}"
