"""Addition of numbers with several digits, column by column from the right, with carries."""

import re

from datasets_app.generators.draw import Draw
from datasets_app.generators.family import Family

_PROMPT = re.compile(r"([1-9][0-9]*)\+([1-9][0-9]*)")
_STEP = re.compile(r"[0-9]\+[0-9]\+[01]=[0-9]{1,2}, carry ([01]): ([0-9]{1,20})")

type Sum = tuple[str, str]
type Columns = tuple[int, str]


def has_carry(left: str, right: str) -> bool:
    """Tell whether any column gives ten or more."""
    short = min(len(left), len(right))
    return any(int(left[-at]) + int(right[-at]) >= 10 for at in range(1, short + 1))


class Addition(Family[Sum, Columns]):
    """The state is the carry and the digits of the result so far."""

    name = "addition"
    version = 1
    summary = "multi-digit addition with at least one carry; each step writes the carry and the result so far"
    step_type = "column"

    def __init__(self, shortest: int = 2, longest: int = 4) -> None:
        self.shortest = shortest
        self.longest = longest

    @property
    def capacity(self) -> int:
        """Count the ordered pairs of numbers less those whose columns all stay below ten."""
        lengths = range(self.shortest, self.longest + 1)
        pairs = sum(9 * 10 ** (length - 1) for length in lengths) ** 2
        plain = 0
        for left in lengths:
            for right in lengths:
                short = min(left, right)
                # The leading digits are 1-9: 36 pairs of two leading ones stay below ten, 45 pairs of a
                # leading and an inner digit, 55 pairs of two inner ones.
                lead = 36 if left == right else 45 * 9 * 10 ** (abs(left - right) - 1)
                plain += int(55 ** (short - 1)) * lead
        return int(pairs - plain)

    @property
    def parameters(self) -> dict[str, int]:
        """The shortest and the longest number, in digits."""
        return {"shortest": self.shortest, "longest": self.longest}

    def draw(self, draw: Draw) -> str:
        """Make a prompt such as ``4821+977``; without a carry the draw is not usable."""
        left, right = self._number(draw), self._number(draw)
        return f"{left}+{right}" if has_carry(left, right) else ""

    def read_prompt(self, prompt: str) -> Sum | None:
        """Read the two numbers."""
        found = _PROMPT.fullmatch(prompt)
        if not found:
            return None
        fits = all(self.shortest <= len(number) <= self.longest for number in found.groups())
        return (found[1], found[2]) if fits else None

    def start(self, problem: Sum) -> Columns:
        """Start with no carry and no digit."""
        return 0, ""

    def advance(self, problem: Sum, index: int, state: Columns) -> tuple[str, Columns] | None:
        """Write a line such as ``8+9+0=17, carry 1: 798``."""
        carry, digits = state
        width = max(map(len, problem))
        if index > width or (index == width and carry == 0):
            return None
        left, right = (int(number.zfill(width + 1)[-1 - index]) for number in problem)
        column = left + right + carry
        after = (column // 10, f"{column % 10}{digits}")
        return f"{left}+{right}+{carry}={column}, carry {after[0]}: {after[1]}", after

    def read_step(self, problem: Sum, state: Columns | None, line: str) -> Columns | None:
        """Read the carry and the digits so far."""
        found = _STEP.fullmatch(line)
        return (int(found[1]), found[2]) if found else None

    def answer(self, problem: Sum, state: Columns) -> str:
        """Give the digits."""
        return state[1]

    def _number(self, draw: Draw) -> str:
        length = draw.between(self.shortest, self.longest)
        return str(draw.between(10 ** (length - 1), 10**length - 1))
