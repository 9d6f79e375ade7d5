"""The further checks of a generated text, each passed, failed, or with nothing to check."""

from collections.abc import Sequence
from typing import Final

from training.examples import TraceExample
from training.grading.steps import StepVerdicts, arithmetic_of, last_agrees
from training.grading.verdicts import Written

CHECKS: Final = {
    "format": "every line before the answer is a step, and there is exactly one answer, written to its end",
    "arithmetic": "annotations <<a=b>> and plain equations are right",
    "carried": "the numbers that are worked on come from the prompt or an earlier step",
    "last_step": "the last step holds the answer",
}


def check_all(
    found: StepVerdicts, written: Written, example: TraceExample, *, finished: bool
) -> dict[str, bool | None]:
    """Say of each of `CHECKS` whether the text passed it; None where it had nothing to check."""
    return {
        "format": finished and is_well_formed(written),
        "arithmetic": all_true(arithmetic_of(found, len(written.steps))),
        "carried": is_carried(found),
        "last_step": ends_in_answer(found, example),
    }


def is_well_formed(written: Written) -> bool:
    """Tell whether a text is steps, none of them blank, and then exactly one answer that is not blank."""
    return bool(written.answer and written.answer.strip()) and all(step.strip() for step in written.steps)


def is_carried(found: StepVerdicts) -> bool | None:
    """Tell whether all numbers worked on come from somewhere; None where nothing is worked out."""
    if not found.values and not found.equation_values:
        return None
    return not found.unexplained and not found.equation_unexplained


def ends_in_answer(found: StepVerdicts, example: TraceExample) -> bool | None:
    """Tell whether the last step holds the answer.

    None where there is no step or no answer, and where the expected trace itself is written otherwise.
    """
    if found.last_agrees is False and last_agrees(example.steps, example.final_answer) is not True:
        return None
    return found.last_agrees


def all_true(verdicts: Sequence[bool | None]) -> bool | None:
    """Give False if one is False, else True if one is True, else None."""
    if False in verdicts:
        return False
    return True if True in verdicts else None


def first_false(verdicts: Sequence[bool | None]) -> int | None:
    """Give the place of the first False, None where there is none."""
    return next((place for place, verdict in enumerate(verdicts) if verdict is False), None)
