"""Are written steps right? By annotations, equations, where numbers come from, and the last step."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction

from training.grading.annotations import Annotation, annotations_of, without_annotations, written
from training.grading.arithmetic import ArithmeticTextError, evaluate, numbers_in
from training.grading.equations import Equation, equations_of
from training.grading.leading import contradictions

# Numbers that a solver may bring in: counting, halves, percent, and how time and lengths are divided.
_HELPERS = "0 1 2 3 4 5 7 10 12 16 20 24 30 31 36 52 60 100 365 1000 3600 0.25 0.5 0.75"
CONSTANTS = frozenset(Fraction(value) for value in _HELPERS.split())
_SMALL = re.findall(
    r"\w+",
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen "
    "sixteen seventeen eighteen nineteen",
)
_TENS = re.findall(r"\w+", "twenty thirty forty fifty sixty seventy eighty ninety")
_WORDS = {name: Fraction(value) for value, name in enumerate(_SMALL)}
_WORDS |= {name: Fraction(10 * value) for value, name in enumerate(_TENS, start=2)}
_WORDS |= {"hundred": Fraction(100), "thousand": Fraction(1000), "dozen": Fraction(12), "third": Fraction(3)}
_WORDS |= {"quarter": Fraction(4), "fifth": Fraction(5), "million": Fraction(10**6), "score": Fraction(20)}
_FOUND = re.compile(r"(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?|\.\d+")
_AFTER = re.compile(r">>\s*+[$€]?+\s*+((?>-?(?:\d{1,3}(?:,\d{3})+|\d+)?(?:\.\d+)?))(?!/\d)")
_WORD = re.compile(r"[a-z]+")
_REWRITTEN = re.compile(r"[\d)%]\s*=\s*$")
_LONGEST = 40


@dataclass(slots=True)
class StepVerdicts:
    """What can be said of one trace; problems are (step, sentence)."""

    valid: int = 0
    invalid: int = 0
    unknown: int = 0
    annotations: list[Annotation] = field(default_factory=list)
    shown_otherwise: list[tuple[int, str]] = field(default_factory=list)
    unexplained: list[tuple[int, str]] = field(default_factory=list)
    values: int = 0
    equations: list[Equation] = field(default_factory=list)
    equation_unexplained: list[tuple[int, str]] = field(default_factory=list)
    equation_values: int = 0
    contradicted: list[tuple[int, str]] = field(default_factory=list)
    last_agrees: bool | None = None


def check_written(
    verdicts: Sequence[bool | None], prompt: str, steps: Sequence[str], final_answer: str | None
) -> StepVerdicts:
    """Check everything that can be checked of steps without knowing their task.

    ``verdicts`` are those of the family's checker, None where it knows nothing of a step.

    - each annotation ``<<a=b>>``, the number that is written right after it, and the expression before it;
    - each number that an annotation works on: does it come from the prompt or an earlier result?
    - each plain equation ``12 + 5 = 17`` in a step that the family has no verdict on, and the
      numbers it works on;
    - does the last step end in the final answer, where there is one?
    """
    found = StepVerdicts()
    for verdict in verdicts:
        found.valid += verdict is True
        found.invalid += verdict is False
        found.unknown += verdict is None
    found.annotations = list(annotations_of(steps))
    if found.annotations:
        _check_shown(found, steps)
        found.contradicted = list(contradictions(steps))
        _check_carried(found, prompt, steps)
    for place, (verdict, step) in enumerate(zip(verdicts, steps, strict=True)):
        if verdict is None:
            found.equations += equations_of(step, step=place)
    if found.equations:
        _check_equations_carried(found, prompt, steps)
    found.last_agrees = None if final_answer is None else last_agrees(steps, final_answer)
    return found


def arithmetic_of(found: StepVerdicts, steps: int) -> tuple[bool | None, ...]:
    """Say of each step whether the arithmetic in it is right; None where none is written.

    Wrong is an annotation or an equation whose sides differ, a result that is written otherwise right
    after its annotation, and another calculation right before it. What cannot be read, or is in doubt,
    says nothing.
    """
    verdicts: list[bool | None] = [None] * steps
    judged: list[Annotation | Equation] = [*found.annotations, *found.equations]
    for one in judged:
        if one.verdict in {"right", "rounded"} and verdicts[one.step] is None:
            verdicts[one.step] = True
        elif one.verdict == "wrong":
            verdicts[one.step] = False
    for place, _ in (*found.shown_otherwise, *found.contradicted):
        verdicts[place] = False
    return tuple(verdicts)


def values_in(text: str) -> set[Fraction]:
    """Give the numbers that a text states, in digits or as common English words."""
    values = {number for match in _FOUND.findall(text) if (number := _value(match)) is not None}
    values |= {_WORDS[word] for word in _WORD.findall(text.casefold()) if word in _WORDS}
    return values


def last_agrees(steps: Sequence[str], final_answer: str) -> bool | None:
    """Tell whether the last step holds the final answer; None where there is no step."""
    if not steps:
        return None
    text, answer = without_annotations(steps[-1]), final_answer.strip()
    number = _value(answer.strip("$€% "))
    if number is not None:
        return abs(number) in {abs(value) for value in values_in(text)} or number in _results(steps[-1:])
    return " ".join(answer.casefold().split()) in " ".join(text.casefold().split())


def _results(steps: Sequence[str]) -> set[Fraction]:
    found = set()
    for annotation in annotations_of(steps):
        try:
            found.add(evaluate(annotation.result))
        except ArithmeticTextError:
            continue
    return found


def _value(text: str) -> Fraction | None:
    digits = text.replace(",", "").replace("−", "-").rstrip(".")
    if len(digits) > _LONGEST or not re.fullmatch(r"-?(?:\d+(?:\.\d+)?|\.\d+)", digits):
        return None
    return Fraction(Decimal(digits))


def _check_shown(found: StepVerdicts, steps: Sequence[str]) -> None:
    """The number written after ``<<a=b>>`` should be b."""
    per_step: dict[int, list[Annotation]] = {}
    for annotation in found.annotations:
        per_step.setdefault(annotation.step, []).append(annotation)
    for place, some in per_step.items():
        pieces = steps[place].split("<<")[1:]
        for annotation, piece in zip(some, pieces, strict=False):
            match = _AFTER.search(piece)
            shown = _value(match[1]) if match else None
            if shown is None or annotation.verdict == "unreadable":
                continue
            result = evaluate(annotation.result)
            if shown not in {result, abs(result), result * 100}:
                sentence = f"<<{annotation.text}>> is followed by {match[1] if match else ''}"
                found.shown_otherwise.append((place, sentence))


def _check_carried(found: StepVerdicts, prompt: str, steps: Sequence[str]) -> None:
    known = set(CONSTANTS | values_in(prompt))
    known |= {value / 100 for value in known}
    done = 0
    for annotation in found.annotations:
        while done < annotation.step:
            known |= values_in(steps[done])
            done += 1
        try:
            used = numbers_in(annotation.left)
            result = evaluate(annotation.result)
        except ArithmeticTextError:
            continue
        if annotation.left.strip() == annotation.result.strip():
            # A bare number such as <<6=6>>: somebody counted, nothing was worked out.
            known.add(result)
            continue
        found.values += len(used)
        strange = [value for value in used if value not in known and 1 - value not in known]
        if strange:
            names = ", ".join(map(written, strange))
            found.unexplained.append(
                (annotation.step, f"<<{annotation.text}>> uses {names}, from neither prompt nor earlier step")
            )
        known |= {result, abs(result), result / 100}


def _check_equations_carried(found: StepVerdicts, prompt: str, steps: Sequence[str]) -> None:
    """The numbers of a plain equation should stand in the prompt or before it.

    Steps with annotations are left to those; passed over are equations in doubt, and those that only
    write on what stands before: ``150(2/3) = 300/3 = 100``.
    """
    known = set(CONSTANTS | values_in(prompt))
    known |= {value / 100 for value in known}
    annotated = {annotation.step for annotation in found.annotations}
    done = 0
    for equation in found.equations:
        while done < equation.step:
            known |= values_in(steps[done])
            done += 1
        if equation.step in annotated or equation.verdict == "unknown":
            continue
        before = steps[equation.step][: equation.start]
        if _REWRITTEN.search(before):
            continue
        here = known | values_in(before)
        found.equation_values += len(equation.operands)
        strange = [value for value in equation.operands if not here & {value, 1 - value, value - 1}]
        if strange:
            names = ", ".join(map(written, strange))
            sentence = f"{equation.text} uses {names}, from neither prompt nor what stands before"
            found.equation_unexplained.append((equation.step, sentence))
