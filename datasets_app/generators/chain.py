"""Chains of small operations modulo 10: ``7+3*2-5`` is worked off from left to right."""

import re

from datasets_app.generators.draw import Draw
from datasets_app.generators.family import Family

_OPERANDS = {"+": "0123456789", "-": "0123456789", "*": "12379"}
_STEP = re.compile(r"[0-9][-+*][0-9]=([0-9])")

type Operation = tuple[str, int]


def apply(operator: str, left: int, right: int) -> int:
    """Work off one operation modulo 10 (the result is never negative)."""
    if operator == "+":
        return (left + right) % 10
    return (left - right) % 10 if operator == "-" else left * right % 10


class Chain(Family[tuple[int, list[Operation]], int]):
    """A first digit, then operations on the running digit; the state is that digit."""

    name = "chain"
    version = 1
    summary = "operations on one digit, left to right, modulo 10; each step writes the running digit"
    step_type = "compute"

    def __init__(self, operations: int = 8) -> None:
        self.operations = operations
        self._prompt = re.compile(rf"[0-9](?:[-+][0-9]|\*[12379]){{{operations}}}")

    @property
    def capacity(self) -> int:
        """Ten first digits, and 25 operations in each place."""
        return int(10 * sum(map(len, _OPERANDS.values())) ** self.operations)

    @property
    def parameters(self) -> dict[str, int]:
        """The number of operations."""
        return {"operations": self.operations}

    def draw(self, draw: Draw) -> str:
        """Make a prompt such as ``7+3*2-5``."""
        parts = [str(draw.below(10))]
        for _ in range(self.operations):
            operator = draw.choice("+-*")
            parts.append(operator + draw.choice(_OPERANDS[operator]))
        return "".join(parts)

    def read_prompt(self, prompt: str) -> tuple[int, list[Operation]] | None:
        """Read the first digit and the operations."""
        if not self._prompt.fullmatch(prompt):
            return None
        pairs = zip(prompt[1::2], prompt[2::2], strict=True)
        return int(prompt[0]), [(operator, int(digit)) for operator, digit in pairs]

    def start(self, problem: tuple[int, list[Operation]]) -> int:
        """Start at the first digit."""
        return problem[0]

    def advance(self, problem: tuple[int, list[Operation]], index: int, state: int) -> tuple[str, int] | None:
        """Write a line such as ``7+3=0``."""
        operations = problem[1]
        if index >= len(operations):
            return None
        operator, digit = operations[index]
        result = apply(operator, state, digit)
        return f"{state}{operator}{digit}={result}", result

    def read_step(self, problem: tuple[int, list[Operation]], state: int | None, line: str) -> int | None:
        """Read the digit after the equals sign."""
        found = _STEP.fullmatch(line)
        return int(found[1]) if found else None

    def answer(self, problem: tuple[int, list[Operation]], state: int) -> str:
        """Give the last digit."""
        return str(state)
