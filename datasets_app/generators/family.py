"""What every generator family has in common: how its traces are made and how steps are checked."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

from datasets_app.generators.draw import Draw
from datasets_app.traces import TraceRecord, make_trace


class Family[ProblemT, StateT](ABC):
    """A kind of task whose solution is a chain of states, one step a state.

    A family is pure: a prompt is a function of (seed, index, try), the steps are a function of
    the prompt. ``version`` rises whenever the text of any trace changes.
    """

    name: ClassVar[str]
    version: ClassVar[int]
    summary: ClassVar[str]
    step_type: ClassVar[str]
    # What its answers are graded by unless somebody chooses; empty: by the usual grader.
    grader: ClassVar[str] = ""

    @property
    @abstractmethod
    def capacity(self) -> int:
        """How many distinct prompts there can be."""

    @property
    @abstractmethod
    def parameters(self) -> dict[str, int]:
        """What sets the difficulty; part of a dataset's recipe."""

    @abstractmethod
    def draw(self, draw: Draw) -> str:
        """Make a prompt; an empty text where this draw is not usable."""

    @abstractmethod
    def read_prompt(self, prompt: str) -> ProblemT | None:
        """Read a prompt of this family; None for any other text."""

    @abstractmethod
    def start(self, problem: ProblemT) -> StateT:
        """Give the state before the first step."""

    @abstractmethod
    def advance(self, problem: ProblemT, index: int, state: StateT) -> tuple[str, StateT] | None:
        """Write step ``index`` from the state before it; None where no step is left."""

    @abstractmethod
    def read_step(self, problem: ProblemT, state: StateT | None, line: str) -> StateT | None:
        """Read the state that a written step claims, right or wrong; None where it names none."""

    @abstractmethod
    def answer(self, problem: ProblemT, state: StateT) -> str:
        """Give the final answer from the last state."""

    def prompt_for(self, *, seed: int, index: int, attempt: int) -> str:
        """Make the prompt of (seed, index, try)."""
        setting = ",".join(f"{name}={value}" for name, value in sorted(self.parameters.items()))
        return self.draw(Draw(f"{self.name}/{self.version}/{setting}/{seed}/{index}/{attempt}"))

    def solve(self, prompt: str) -> TraceRecord:
        """Write the whole trace of a prompt of this family.

        Raises:
            ValueError: if the prompt is not of this family.
        """
        problem = self.read_prompt(prompt)
        if problem is None:
            raise ValueError(f"not a {self.name} prompt: {prompt!r}")
        state = self.start(problem)
        lines: list[str] = []
        while (step := self.advance(problem, len(lines), state)) is not None:
            line, state = step
            lines.append(line)
        answer = self.answer(problem, state)
        return make_trace(prompt=prompt, steps=lines, final_answer=answer, step_type=self.step_type)

    def check(self, prompt: str, steps: Sequence[str]) -> list[bool | None]:
        """Judge each step: does it follow from the prompt and from the step before it as written?

        One wrong step does not condemn a later one that goes on correctly from it. None: nothing
        can be said, as the prompt is not of this family or the step before names no state.
        """
        problem = self.read_prompt(prompt)
        if problem is None:
            return [None] * len(steps)
        verdicts: list[bool | None] = []
        state: StateT | None = self.start(problem)
        for index, text in enumerate(steps):
            line = " ".join(text.split())
            if state is None:
                verdicts.append(None)
            else:
                expected = self.advance(problem, index, state)
                verdicts.append(expected is not None and line == expected[0])
            state = self.read_step(problem, state, line)
        return verdicts
