"""Overlap of texts: traces that share a run of 13 words with the other side."""

from dataclasses import dataclass, field

MOST_GRAMS = 2_000_000
KEPT = 200


@dataclass(slots=True)
class Overlap:
    """Traces of one side that share a run, each with the first trace of the other side that has it."""

    traces: int = 0
    pairs: list[tuple[int, int]] = field(default_factory=list)
    complete: bool = True


class GramIndex:
    """The runs of one side, each with the first position that has it."""

    def __init__(self) -> None:
        self._first: dict[int, int] = {}
        self.complete = True

    def add(self, position: int, grams: set[int]) -> None:
        """Take in a trace; beyond 2 million runs no more are kept, and `complete` says so."""
        if len(self._first) >= MOST_GRAMS:
            self.complete = False
            return
        for gram in grams:
            self._first.setdefault(gram, position)

    def find(self, grams: set[int]) -> int | None:
        """Give the first position that shares a run, None where none does."""
        return min((self._first[gram] for gram in grams if gram in self._first), default=None)


def note(overlap: Overlap, position: int, other: int | None) -> None:
    """Count a trace where it shares a run."""
    if other is None:
        return
    overlap.traces += 1
    if len(overlap.pairs) < KEPT:
        overlap.pairs.append((position, other))
