"""What a grader is given and what it says."""

from dataclasses import dataclass
from typing import Self

from training.rendering import Parse, parse_completion


@dataclass(frozen=True, slots=True)
class AnswerVerdict:
    """Whether an answer counts as right, and the rule that decided it.

    ``answer`` is what the grader itself read out of the text; None where it took the answer as written.
    """

    correct: bool
    rule: str
    answer: str | None = None


@dataclass(frozen=True, slots=True)
class Written:
    """What a model wrote: the whole text, and the steps and the answer in it.

    ``answer`` is None where the text has not exactly one; ``problem`` then says why.
    """

    text: str
    steps: tuple[str, ...]
    answer: str | None
    problem: str = ""

    @classmethod
    def read(cls, text: str, parse: Parse = parse_completion) -> Self:
        """Find steps and answer by the form that training writes (see `training.rendering`)."""
        parsed = parse(text)
        return cls(text, parsed.steps, parsed.answer, parsed.problem)

    @classmethod
    def of_answer(cls, answer: str) -> Self:
        """Take a text as an answer without steps."""
        return cls(answer, (), answer)
