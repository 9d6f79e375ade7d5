"""The plain data that goes into training."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

# (prompt, steps as generated) -> one verdict a step: True valid, False invalid, None unknown.
StepChecker = Callable[[str, Sequence[str]], Sequence[bool | None]]


@dataclass(frozen=True, slots=True)
class TraceExample:
    """One reasoning trace: what is asked, the steps in order, the final answer.

    ``trace_id`` is the trace's content hash (hex); ``family`` names the generator family
    whose checker can judge steps, empty where there is none.
    """

    trace_id: str
    prompt: str
    steps: tuple[str, ...]
    final_answer: str
    family: str = ""
