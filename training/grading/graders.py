"""All graders by name: what each accepts, its version, and which one grades what."""

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from typing import Final

from training.errors import ConfigError
from training.grading.answers import judge_auto, judge_exact, judge_normalised, judge_numeric
from training.grading.boxed import judge_boxed
from training.grading.choice import judge_choice
from training.grading.gsm8k import judge_flexible, judge_strict
from training.grading.math_rule import MISSING, is_installed, judge_math
from training.grading.numbers import read_quantity
from training.grading.texts import normalise
from training.grading.verdicts import AnswerVerdict, Written

DEFAULT: Final = "auto"

type Judge = Callable[[Written, str], AnswerVerdict]


def vote_as_number(answer: str) -> Hashable:
    """Give what answers that are one vote share: the number and its unit, else the normalised text."""
    found = read_quantity(answer)
    return normalise(answer) if found is None else (found.value, found.unit)


def vote_to_the_letter(answer: str) -> Hashable:
    """Give the answer itself: each spelling is a vote of its own."""
    return answer


@dataclass(frozen=True, slots=True)
class Grader:
    """A way to decide whether an answer is right.

    ``version`` rises whenever a verdict on any text changes; ``summary`` is one line for people. ``vote``
    gives what two answers must have in common to be one in a vote. ``judges_unfinished``: also a text
    that the length limit cut off is judged. ``missing`` says what must be installed, empty where nothing is.
    """

    name: str
    version: int
    summary: str
    judge: Judge
    vote: Callable[[str], Hashable] = vote_as_number
    judges_unfinished: bool = False
    missing: Callable[[], str] = str

    def compare(self, given: str, expected: str) -> AnswerVerdict:
        """Judge a bare answer."""
        return self.judge(Written.of_answer(given), expected)


GRADERS: Final[Mapping[str, Grader]] = {
    grader.name: grader
    for grader in (
        Grader("auto", 1, "the same characters, the same text, or the same number", judge_auto),
        Grader("exact", 1, "the same characters", judge_exact, vote=vote_to_the_letter),
        Grader(
            "normalised",
            1,
            "the same text, whatever its letter case, white space and Unicode form",
            judge_normalised,
            vote=normalise,
        ),
        Grader("numeric", 1, "the same number, however it is written", judge_numeric),
        Grader(
            "gsm8k_strict",
            1,
            "the first number after #### is the reference (lm-evaluation-harness, strict-match)",
            judge_strict,
            vote=normalise,
            judges_unfinished=True,
        ),
        Grader(
            "gsm8k_flexible",
            1,
            "the last number of the text is the reference (lm-evaluation-harness, flexible-extract)",
            judge_flexible,
            vote=normalise,
            judges_unfinished=True,
        ),
        Grader("choice", 1, "the same letter of a multiple choice, A to J", judge_choice, vote=normalise),
        Grader("boxed", 1, r"what stands in the last \boxed{} is the same text or number", judge_boxed),
        Grader(
            "math",
            1,
            "the same text, number, or expression (by math-verify, to be installed apart)",
            judge_math,
            missing=lambda: "" if is_installed() else MISSING,
        ),
    )
}


def find_grader(name: str) -> Grader:
    """Find a grader by its name.

    Raises:
        ConfigError: naming those there are, or what must be installed for this one.
    """
    grader = GRADERS.get(name)
    if grader is None:
        raise ConfigError(f"There is no grader {name!r}; there are {', '.join(GRADERS)}.")
    if missing := grader.missing():
        raise ConfigError(missing)
    return grader


def grader_for(
    family: str = "", dataset_default: str = "", choice: str = "", *, hints: Mapping[str, str] | None = None
) -> Grader:
    """Choose a grader: the one asked for, else the dataset's, else that of the family, else the default.

    ``hints`` names graders by family.

    Raises:
        ConfigError: see `find_grader`.
    """
    return find_grader(choice or dataset_default or (hints or {}).get(family, "") or DEFAULT)
