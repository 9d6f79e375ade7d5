"""PRM800K: a question with steps that people rated; the chosen completions are the steps."""

from typing import Any

import msgspec

from datasets_app.formats.reading import Fields, Reading, as_shape, reading
from datasets_app.formats.solution import lines_of
from datasets_app.traces import TraceError

NAME = "prm800k"
SUMMARY = "PRM800K: question.problem, label.steps[].completions with ratings"
FIELDS = ("question", "label")
LOSSLESS = False
_ANSWER_MARK = "# Answer"


class Completion(msgspec.Struct):
    """One proposed step with its rating (1 right, 0 neutral, -1 wrong)."""

    text: str
    rating: int | None = None


class RatedStep(msgspec.Struct):
    """The proposals for one step, which of them was taken, or what a person wrote instead."""

    completions: list[Completion] | None = None
    human_completion: Completion | str | None = None
    chosen_completion: int | None = None


class Label(msgspec.Struct):
    """The rated steps, and how the rating ended."""

    steps: list[RatedStep]
    finish_reason: str | None = None


class Question(msgspec.Struct):
    """The problem and its true answer."""

    problem: str
    ground_truth_answer: str | None = None


class Shape(msgspec.Struct):
    """What a line must hold."""

    question: Question
    label: Label


def matches(fields: Fields) -> bool:
    """Tell it by the steps in its label."""
    label = fields.get("label")
    return isinstance(label, dict) and "steps" in label and isinstance(fields.get("question"), dict)


def read(fields: Fields) -> Reading:
    """Read the path that was chosen; ratings stay in ``meta``.

    Without a choice the first proposal rated 1 counts, else the first. The final answer is the
    one after ``# Answer`` in the last step, else the true answer.
    """
    shape = as_shape(fields, Shape)
    steps: list[str] = []
    ratings: list[int | None] = []
    for place, step in enumerate(shape.label.steps):
        chosen = _chosen(step, f"label.steps[{place}]")
        if not chosen.text.strip():
            raise TraceError(f"label.steps[{place}].completions", "the chosen text is empty.")
        steps.append(chosen.text.strip())
        ratings.append(chosen.rating)
    answer = shape.question.ground_truth_answer or ""
    if steps and _ANSWER_MARK in steps[-1]:
        before, _, after = steps.pop().rpartition(_ANSWER_MARK)
        answer = after.strip() or answer
        steps += lines_of(before)
    if not answer.strip():
        raise TraceError("question.ground_truth_answer", "is empty, and no step has “# Answer”.")
    meta: dict[str, Any] = {"ratings": ratings}
    if shape.label.finish_reason:
        meta["finish_reason"] = shape.label.finish_reason
    if shape.question.ground_truth_answer:
        meta["ground_truth_answer"] = shape.question.ground_truth_answer
    return reading(shape.question.problem, steps, answer, meta=meta)


def _chosen(step: RatedStep, field: str) -> Completion:
    proposals = step.completions or []
    if step.chosen_completion is not None:
        if not 0 <= step.chosen_completion < len(proposals):
            raise TraceError(f"{field}.chosen_completion", f"there is no proposal {step.chosen_completion}.")
        return proposals[step.chosen_completion]
    if step.human_completion is not None:
        human = step.human_completion
        return human if isinstance(human, Completion) else Completion(text=human)
    if not proposals:
        raise TraceError(f"{field}.completions", "is empty.")
    return next((one for one in proposals if one.rating == 1), proposals[0])
