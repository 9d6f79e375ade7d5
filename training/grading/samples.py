"""Grade one generated text: its answer, its steps, and what else can be checked of it."""

from collections.abc import Mapping, Sequence

from training.errors import TrainingError
from training.examples import StepChecker, TraceExample
from training.grading.checks import check_all, first_false
from training.grading.graders import DEFAULT, GRADERS, Grader
from training.grading.steps import arithmetic_of, check_written
from training.grading.verdicts import AnswerVerdict, Written
from training.recorder import GradedSample
from training.rendering import Parse, parse_completion

UNFINISHED = "unfinished"


def grade(
    example: TraceExample,
    text: str,
    *,
    finished: bool,
    checkers: Mapping[str, StepChecker],
    grader: Grader | None = None,
    draw: int = 0,
    tokens: int = 0,
    parse: Parse = parse_completion,
) -> GradedSample:
    """Grade one generated text against its example.

    ``finished`` tells whether the model ended the text itself; an answer that the length limit cut off
    may not be what it meant and does not count, except with a grader that judges those too.

    ``parse`` reads steps and answer as the model was taught to write them. Each step is judged by the
    checker of the example's family; those of an example without a family by the arithmetic that is written
    in them.

    Raises:
        TrainingError: when a checker gives not exactly one verdict a step.
        ConfigError: when the grader needs a package that is not installed.
    """
    grader = grader or GRADERS[DEFAULT]
    written = Written.read(text, parse)
    verdict = _judge(grader, written, example.final_answer, finished=finished)
    steps_valid = judge_steps(example, written.steps, checkers)
    found = check_written(steps_valid, example.prompt, written.steps, written.answer)
    checks = check_all(found, written, example, finished=finished)
    if not example.family:
        steps_valid = arithmetic_of(found, len(written.steps))
    return GradedSample(
        trace_id=example.trace_id,
        prompt=example.prompt,
        expected_steps=example.steps,
        expected_answer=example.final_answer,
        generated_text=text,
        generated_steps=written.steps,
        steps_valid=steps_valid,
        answer=written.answer if verdict.answer is None else verdict.answer,
        correct=verdict.correct,
        rule=verdict.rule,
        draw=draw,
        tokens=tokens,
        finished=finished,
        first_wrong_step=first_false(steps_valid),
        checks=checks,
    )


def judge_steps(
    example: TraceExample, steps: Sequence[str], checkers: Mapping[str, StepChecker]
) -> tuple[bool | None, ...]:
    """Ask the checker of the example's family about each step; None where nobody knows.

    Raises:
        TrainingError: when a checker gives not exactly one verdict a step.
    """
    checker = checkers.get(example.family)
    if checker is None or not steps:
        return (None,) * len(steps)
    verdicts = tuple(checker(example.prompt, steps))
    if len(verdicts) != len(steps):
        raise TrainingError(
            f"The step checker of family {example.family!r} gave {len(verdicts)} verdicts "
            f"on {len(steps)} steps; it must give one a step."
        )
    return verdicts


def _judge(grader: Grader, written: Written, expected: str, *, finished: bool) -> AnswerVerdict:
    if finished or grader.judges_unfinished:
        return grader.judge(written, expected)
    return AnswerVerdict(False, written.problem or UNFINISHED)
