"""What stands in a text so far: whole steps with their verdicts, the line that has only begun, the answer."""

from collections.abc import Sequence
from dataclasses import dataclass

from datasets_app.generators import check_steps
from training.errors import ConfigError
from training.grading import GRADERS, AnswerVerdict, Grader, grader_for
from training.grading.steps import arithmetic_of, check_written
from training.rendering import Parse, parse_completion


@dataclass(frozen=True, slots=True)
class Reading:
    """A text as read. ``begun`` is its last line, which has no end yet and so counts for nothing.

    ``answer`` is None where there is none (yet), ``problem`` then says why once that is certain;
    ``verdict`` is None where nobody knows what would be right, or the text goes on.
    """

    steps: tuple[str, ...]
    valid: tuple[bool | None, ...]
    begun: str = ""
    answer: str | None = None
    problem: str = ""
    verdict: AnswerVerdict | None = None

    @property
    def words(self) -> str:
        """Say how the text came out, shortly."""
        if self.answer is None:
            return self.problem
        if self.verdict is None:
            return "answered"
        return "right answer" if self.verdict.correct else "wrong answer"

    @property
    def checked(self) -> int:
        """Count the steps that a checker knows."""
        return sum(one is not None for one in self.valid)

    @property
    def sound(self) -> int:
        """Count the valid ones."""
        return sum(one is True for one in self.valid)


def read_text(
    text: str,
    *,
    prompt: str,
    family: str = "",
    expected: str | None = None,
    finished: bool,
    ended: bool,
    grader: str = "",
    arithmetic: bool = False,
    parse: Parse = parse_completion,
) -> Reading:
    """Read a text, whole or in part.

    ``finished``: the model ended it itself; ``ended``: nothing more comes. Before the model's own end the
    last line may not be what it meant, so it is neither a step nor an answer. ``grader`` names the one that
    the dataset asks for; ``arithmetic``: steps of no family are judged by what they calculate;
    ``parse`` reads steps and answer as the model was taught to write them.
    """
    whole, begun = (text, "") if finished else _split(text)
    parsed = parse(whole)
    steps = parsed.steps
    valid = _judge(steps, prompt, family, arithmetic=arithmetic)
    if not finished:
        gone_on = parsed.problem == "text after the answer"
        problem = parsed.problem if gone_on else "unfinished" if ended else ""
        return Reading(steps, valid, begun, None, problem, _wrong(problem, expected, ended=ended))
    if parsed.answer is None:
        return Reading(steps, valid, "", None, parsed.problem, _wrong(parsed.problem, expected, ended=True))
    verdict = None if expected is None else _grader(grader).compare(parsed.answer, expected)
    return Reading(steps, valid, "", parsed.answer, "", verdict)


def _judge(steps: tuple[str, ...], prompt: str, family: str, *, arithmetic: bool) -> tuple[bool | None, ...]:
    if family or not arithmetic:
        return tuple(check_steps(family, prompt, steps))
    unknown = (None,) * len(steps)
    return arithmetic_of(check_written(unknown, prompt, steps, None), len(steps))


def _grader(name: str) -> Grader:
    """Find the dataset's grader; the usual one where it needs what is not installed."""
    try:
        return grader_for(dataset_default=name)
    except ConfigError:
        return GRADERS["auto"]


def _wrong(problem: str, expected: str | None, *, ended: bool) -> AnswerVerdict | None:
    return AnswerVerdict(False, problem) if ended and problem and expected is not None else None


def _split(text: str) -> tuple[str, str]:
    """Part a text behind its last line end."""
    end = text.rfind("\n") + 1
    return text[:end], text[end:]


def differing(one: Sequence[str], other: Sequence[str]) -> int:
    """Count the places at which two rows of steps differ."""
    longest = max(len(one), len(other))
    return longest - sum(first == second for first, second in zip(one, other, strict=False))
