"""Exact and near duplicates: one pass makes signatures, candidates are then verified on the texts.

Signatures are MinHash by one permutation (P. Li et al., 2012) with empty places filled from others
by a fixed order of probing (A. Shrivastava, 2017). Two traces are candidates where all values of a
band agree; with 24 bands of 4 values a pair of Jaccard similarity 0.7 is missed once in about 700.
"""

from array import array
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import batched

from datasets_app.quality.repeated import repeated
from datasets_app.quality.text import SHINGLE, hash64, jaccard, runs_of, words_of

THRESHOLD = 0.7
BANDS, ROWS = 24, 4
PLACES = BANDS * ROWS
EMPTY = 2**64 - 1
# In a bucket with more traces each is compared with its nearest neighbours in it only.
NEIGHBOURS = 40
MOST_PAIRS = 1_000_000
PAIRS_AT_ONCE = 2000
ROW_BITS = 32
ROW_MASK = (1 << ROW_BITS) - 1

type Texts = Callable[[Sequence[int]], dict[int, str]]
"""Gives the whole texts of some positions."""


def _probes(place: int) -> list[int]:
    return sorted(range(PLACES), key=lambda other: hash64(f"{place}/{other}"))


_PROBES = [_probes(place) for place in range(PLACES)]


@dataclass(frozen=True, slots=True)
class NearPair:
    """Two traces of which one is hardly more than the other written again."""

    first: int
    second: int
    similarity: float


@dataclass(slots=True)
class Duplicates:
    """What was found. ``complete`` is false where a bound left pairs unlooked at."""

    exact: list[list[int]] = field(default_factory=list)
    near: list[NearPair] = field(default_factory=list)
    compared: int = 0
    complete: bool = True


def signature(runs: Iterable[int]) -> list[int]:
    """Give the MinHash values of a set of runs (one permutation, densified)."""
    values = [EMPTY] * PLACES
    for run in runs:
        rest, place = divmod(run, PLACES)
        values[place] = min(values[place], rest)
    filled = values.copy()
    for place, value in enumerate(values):
        if value == EMPTY:
            filled[place] = next((values[at] for at in _PROBES[place] if values[at] != EMPTY), EMPTY)
    return filled


class DuplicateFinder:
    """Takes traces in one by one; memory is 208 bytes a trace, and what the candidates need in `find`."""

    def __init__(self) -> None:
        self._positions = array("Q")
        self._whole = array("Q")
        self._bands = array("Q")

    def add(self, position: int, words: Sequence[str]) -> None:
        """Take in the normalised words of the trace at a position."""
        self._whole.append(hash64(" ".join(words)))
        values = signature(runs_of(words, SHINGLE))
        self._positions.append(position)
        for band in range(BANDS):
            self._bands.append(hash(tuple(values[band * ROWS : (band + 1) * ROWS])) & EMPTY)

    def find(self, texts: Texts, tell: Callable[[], None] = lambda: None) -> Duplicates:
        """Verify the candidates on their texts and give what is left."""
        equal = repeated(self._whole)
        found = Duplicates(exact=sorted([self._positions[row] for row in group] for group in equal))
        known = {row for group in equal for row in group[1:]}
        pairs = sorted(self._candidates(known, found, tell))
        for some in batched(pairs, PAIRS_AT_ONCE):
            tell()
            places = [(pair >> ROW_BITS, pair & ROW_MASK) for pair in some]
            both = [(self._positions[one], self._positions[other]) for one, other in places]
            wanted = sorted({position for pair in both for position in pair})
            runs = {at: runs_of(words_of(text), SHINGLE) for at, text in texts(wanted).items()}
            for first, second in both:
                similarity = jaccard(runs[first], runs[second])
                found.compared += 1
                if similarity >= THRESHOLD:
                    found.near.append(NearPair(first, second, similarity))
        return found

    def _candidates(self, known: set[int], found: Duplicates, tell: Callable[[], None]) -> set[int]:
        """Give pairs of rows, each as one number; rows that are ``known`` repeat an earlier one exactly."""
        pairs: set[int] = set()
        for band in range(BANDS):
            tell()
            for group in repeated(self._bands[band::BANDS]):
                bucket = [row for row in group if row not in known] if known else group
                if len(bucket) > NEIGHBOURS + 1:
                    found.complete = False
                for place, first in enumerate(bucket):
                    near = bucket[place + 1 : place + 1 + NEIGHBOURS]
                    pairs.update(first << ROW_BITS | second for second in near)
                    if len(pairs) > MOST_PAIRS:
                        found.complete = False
                        return pairs
        return pairs


def clusters(pairs: Iterable[NearPair]) -> list[list[int]]:
    """Join pairs that share a trace into groups, each sorted, the largest first."""
    parent: dict[int, int] = {}

    def root(of: int) -> int:
        while (above := parent.setdefault(of, of)) != of:
            parent[of] = parent[above]
            of = above
        return of

    for pair in pairs:
        parent[root(pair.second)] = root(pair.first)
    groups: dict[int, list[int]] = defaultdict(list)
    for member in parent:
        groups[root(member)].append(member)
    return sorted((sorted(group) for group in groups.values()), key=lambda group: (-len(group), group))
