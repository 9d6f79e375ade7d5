"""What is wrong with which traces: each kind counted in full, the first hundred of each named."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

NAMED = 100
POSITIONS_NAMED = 20


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of finding: how bad, and how it is called."""

    severity: str
    title: str
    advice: str


KINDS: dict[str, Kind] = {
    "no_target": Kind(
        "error", "Rows with nothing to learn", "The prompt fills the sequence: raise its length."
    ),
    "answer_cut": Kind(
        "error", "Final answers that are cut", "Raise the sequence length, or leave these out."
    ),
    "step_wrong": Kind(
        "error", "Steps that their checker refuses", "The step does not follow from the one before."
    ),
    "annotation_wrong": Kind("error", "Annotations that are wrong", "The two sides of <<a=b>> differ."),
    "test_in_train": Kind(
        "error", "Test traces that overlap with train", "They share 13 words in a row; grades would flatter."
    ),
    "in_other_dataset": Kind(
        "error", "Traces that overlap with the other dataset", "They share 13 words in a row."
    ),
    "prompt_with_two_answers": Kind("error", "One prompt, two answers", "One of them must be wrong."),
    "exact_duplicate": Kind(
        "warning", "Exact duplicates", "Equal but for letter case, white space and form."
    ),
    "near_duplicate": Kind(
        "warning", "Near duplicates", "At least 0.7 of their runs of 5 words are the same."
    ),
    "annotation_unreadable": Kind(
        "warning", "Annotations that are no arithmetic", "They were not worked out."
    ),
    "equation_wrong": Kind(
        "warning", "Plain equations that are wrong", "An equation such as 12 + 5 = 18 in the text of a step."
    ),
    "shown_otherwise": Kind("warning", "A result is written otherwise", "The number after <<a=b>> is not b."),
    "unexplained": Kind(
        "note", "Numbers from nowhere", "A number comes from neither prompt nor earlier step."
    ),
    "equation_unexplained": Kind(
        "note",
        "Numbers from nowhere in plain equations",
        "A number comes from neither prompt nor what stands before.",
    ),
    "last_step_differs": Kind(
        "note", "Last step without the answer", "The last step does not hold the final answer."
    ),
}


class Findings:
    """Collects findings by kind."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._items: dict[str, list[dict[str, Any]]] = defaultdict(list)

    def add(
        self, code: str, positions: Sequence[int], note: str, *, weight: int = 1, other: int | None = None
    ) -> None:
        """Note a finding about traces. ``weight``: how many it counts for; ``other``: a place elsewhere."""
        self._counts[code] += weight
        items = self._items[code]
        if len(items) < NAMED:
            item: dict[str, Any] = {"positions": list(positions[:POSITIONS_NAMED]), "note": note}
            items.append(item if other is None else item | {"other": other})

    def count(self, code: str, total: int) -> None:
        """Set the full count of a kind of which only some were named."""
        self._counts[code] = total

    def as_json(self) -> list[dict[str, Any]]:
        """Give the kinds that occur, the worst first."""
        return [
            {
                "code": code,
                "severity": kind.severity,
                "title": kind.title,
                "advice": kind.advice,
                "count": self._counts[code],
                "items": self._items[code],
            }
            for code, kind in KINDS.items()
            if self._counts[code]
        ]
