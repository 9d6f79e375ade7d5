"""Short word problems with units: convert to the small unit, then work it out."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from datasets_app.generators.draw import Draw
from datasets_app.generators.family import Family

_RESULT = re.compile(r".+ = (-?[0-9]{1,12}) [a-z]+")
_NAMES = ("Ada", "Ben", "Cleo", "Dan", "Eva", "Finn", "Gus", "Hana")

# what is measured, large unit, small unit, how many small ones make a large one
_GOODS = (("rice", "kg", "g", 1000), ("water", "l", "ml", 1000), ("ribbon", "m", "cm", 100))
_FACTORS = {(large, small): factor for _, large, small, factor in _GOODS} | {("km", "m"): 1000}


@dataclass(frozen=True, slots=True)
class Plan:
    """One line of a solution. Operands: a number as text, or the place of an earlier result.

    ``convert`` takes large, rest (``0`` where there is none); the other kinds two operands.
    """

    kind: Literal["convert", "+", "-", "*", "/"]
    left: str | int
    right: str | int
    unit: str
    large: str = ""

    def line(self, results: tuple[int, ...]) -> tuple[str, int]:
        """Write the line and give its result."""
        left, right = (
            results[side] if isinstance(side, int) else int(side) for side in (self.left, self.right)
        )
        if self.kind == "convert":
            result = left * _FACTORS[self.large, self.unit] + right
            rest = f" {right} {self.unit}" if right else ""
            return f"{left} {self.large}{rest} = {result} {self.unit}", result
        if self.kind == "*":
            return f"{left} * {right} {self.unit} = {left * right} {self.unit}", left * right
        if self.kind == "/":
            return f"{left} {self.unit} / {right} = {left // right} {self.unit}", left // right
        result = left + right if self.kind == "+" else left - right
        return f"{left} {self.unit} {self.kind} {right} {self.unit} = {result} {self.unit}", result


@dataclass(frozen=True, slots=True)
class Story:
    """A kind of word problem: how it is told, how it is read, how it is solved."""

    pattern: re.Pattern[str]
    tell: Callable[[Draw], str]
    plan: Callable[[dict[str, str]], list[Plan]]
    capacity: int


def _tell_more(draw: Draw) -> str:
    what, large, small, factor = draw.choice(_GOODS)
    first, second = ((draw.between(1, 9), draw.between(1, factor - 1)) for _ in range(2))
    return (
        f"{draw.choice(_NAMES)} has {first[0]} {large} {first[1]} {small} of {what} "
        f"and gets {second[0]} {large} {second[1]} {small} more. How many {small}?"
    )


def _plan_more(read: dict[str, str]) -> list[Plan]:
    small, large = read["small"], read["large"]
    return [
        Plan("convert", read["a"], read["b"], small, large),
        Plan("convert", read["c"], read["d"], small, large),
        Plan("+", 0, 1, small),
    ]


def _tell_cut(draw: Draw) -> str:
    long, rest = draw.between(9, 40), draw.between(1, 99)
    pieces, piece = draw.between(2, 9), draw.between(10, 99)
    return (
        f"A rope is {long} m {rest} cm. {draw.choice(_NAMES)} cuts off {pieces} pieces of {piece} cm. "
        "How many cm are left?"
    )


def _plan_cut(read: dict[str, str]) -> list[Plan]:
    return [
        Plan("convert", read["a"], read["b"], "cm", "m"),
        Plan("*", read["c"], read["d"], "cm"),
        Plan("-", 0, 1, "cm"),
    ]


def _tell_walk(draw: Draw) -> str:
    speed, hours, more = draw.between(2, 12), draw.between(2, 9), draw.between(1, 999)
    return f"{draw.choice(_NAMES)} walks {speed} km per hour for {hours} hours and {more} m more. How many m?"


def _plan_walk(read: dict[str, str]) -> list[Plan]:
    return [
        Plan("*", read["b"], read["a"], "km"),
        Plan("convert", 0, "0", "m", "km"),
        Plan("+", 1, read["c"], "m"),
    ]


def _tell_share(draw: Draw) -> str:
    what, large, small, factor = draw.choice(_GOODS)
    people = draw.between(3, 9)
    share = draw.between(factor // 2, factor - 1)
    whole, rest = divmod(people * share, factor)
    return f"{people} people share {whole} {large} {rest} {small} of {what} alike. How many {small} has each?"


def _plan_share(read: dict[str, str]) -> list[Plan]:
    small, large = read["small"], read["large"]
    return [Plan("convert", read["b"], read["c"], small, large), Plan("/", 0, read["a"], small)]


_NAME = f"(?:{'|'.join(_NAMES)})"
_INT = "0|[1-9][0-9]{0,8}"
_STORIES = (
    Story(
        re.compile(
            rf"{_NAME} has (?P<a>{_INT}) (?P<large>[a-z]+) (?P<b>{_INT}) (?P<small>[a-z]+) of [a-z]+ "
            rf"and gets (?P<c>{_INT}) (?P=large) (?P<d>{_INT}) (?P=small) more\. How many (?P=small)\?"
        ),
        _tell_more,
        _plan_more,
        sum(len(_NAMES) * (9 * (factor - 1)) ** 2 for *_, factor in _GOODS),
    ),
    Story(
        re.compile(
            rf"A rope is (?P<a>{_INT}) m (?P<b>{_INT}) cm\. {_NAME} cuts off (?P<c>{_INT}) pieces "
            rf"of (?P<d>{_INT}) cm\. How many cm are left\?"
        ),
        _tell_cut,
        _plan_cut,
        32 * 99 * len(_NAMES) * 8 * 90,
    ),
    Story(
        re.compile(
            rf"{_NAME} walks (?P<a>{_INT}) km per hour for (?P<b>{_INT}) hours and (?P<c>{_INT}) m more\. "
            r"How many m\?"
        ),
        _tell_walk,
        _plan_walk,
        len(_NAMES) * 11 * 8 * 999,
    ),
    Story(
        re.compile(
            rf"(?P<a>[1-9]) people share (?P<b>{_INT}) (?P<large>[a-z]+) (?P<c>{_INT}) (?P<small>[a-z]+) "
            r"of [a-z]+ alike\. How many (?P=small) has each\?"
        ),
        _tell_share,
        _plan_share,
        sum(7 * (factor - factor // 2) for *_, factor in _GOODS),
    ),
)


class WordProblems(Family[list[Plan], tuple[int, ...]]):
    """The state is the results so far; each step writes one of them with its unit."""

    name = "word_problems"
    version = 1
    summary = "short stories about amounts with units; each step converts or works out one amount"
    step_type = "work_out"
    grader = "normalised"

    @property
    def capacity(self) -> int:
        """Count the distinct prompts of all stories."""
        return sum(story.capacity for story in _STORIES)

    @property
    def parameters(self) -> dict[str, int]:
        """The number of kinds of stories."""
        return {"stories": len(_STORIES)}

    def draw(self, draw: Draw) -> str:
        """Tell one story."""
        return draw.choice(_STORIES).tell(draw)

    def read_prompt(self, prompt: str) -> list[Plan] | None:
        """Find the story that is told and plan its solution."""
        for story in _STORIES:
            found = story.pattern.fullmatch(prompt)
            if found:
                read = found.groupdict()
                known = "large" not in read or (read["large"], read["small"]) in _FACTORS
                return story.plan(read) if known else None
        return None

    def start(self, problem: list[Plan]) -> tuple[int, ...]:
        """Start with no result."""
        return ()

    def advance(
        self, problem: list[Plan], index: int, state: tuple[int, ...]
    ) -> tuple[str, tuple[int, ...]] | None:
        """Write a line such as ``3 kg 250 g = 3250 g``."""
        if index >= len(problem):
            return None
        line, result = problem[index].line(state)
        return line, (*state, result)

    def read_step(
        self, problem: list[Plan], state: tuple[int, ...] | None, line: str
    ) -> tuple[int, ...] | None:
        """Add the result that the line claims."""
        found = _RESULT.fullmatch(line)
        return (*state, int(found[1])) if found and state is not None else None

    def answer(self, problem: list[Plan], state: tuple[int, ...]) -> str:
        """Give the last result with its unit."""
        return f"{state[-1]} {problem[-1].unit}"
