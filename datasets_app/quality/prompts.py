"""Prompts that stand in a dataset with more than one answer."""

from array import array
from collections.abc import Iterator

from datasets_app.quality.repeated import repeated
from datasets_app.quality.text import hash64
from datasets_app.traces import prompt_hash


class PromptAnswers:
    """Takes traces in by their order; 16 bytes each."""

    def __init__(self) -> None:
        self._positions, self._prompts, self._answers = array("Q"), array("Q"), array("Q")

    def add(self, position: int, prompt: str, answer: str) -> None:
        """Take in one trace."""
        self._positions.append(position)
        self._prompts.append(int(prompt_hash(prompt)[:16], 16))
        self._answers.append(hash64(answer.strip()))

    def differing(self) -> list[tuple[int, int]]:
        """Give pairs of positions, by the second: the first trace of a prompt, one that answers otherwise."""
        return sorted(self._pairs(), key=lambda pair: pair[1])

    def _pairs(self) -> Iterator[tuple[int, int]]:
        for first, *others in repeated(self._prompts):
            for other in others:
                if self._answers[other] != self._answers[first]:
                    yield self._positions[first], self._positions[other]
