"""The widths of buckets, and how a range of steps is covered by few of them."""

from collections.abc import Iterator
from typing import NamedTuple

# In steps, each a multiple of the one before. Finer ones would hardly be fewer rows than the points, and
# coarser ones save nothing, for there are at most 2^31 steps; the last holds a whole series in one bucket.
WIDTHS = (*(16 * 4**level for level in range(9)), 2**31)
WHOLE = len(WIDTHS) - 1
# The level of a piece that is read from the points themselves.
POINTS = -1


class Piece(NamedTuple):
    """Steps ``first`` to ``last``, both included, as whole buckets of ``level`` (or as points)."""

    level: int
    first: int
    last: int


def level_for(width: int) -> int:
    """Choose the level from which buckets of about ``width`` steps are made, `POINTS` for narrow ones.

    At least two of its buckets go into one of the width where there is a choice, so that a width that is
    rounded up to a multiple of the level's grows by half at most.
    """
    fitting = [level for level in range(WHOLE) if WIDTHS[level] * 2 <= width]
    if fitting:
        return fitting[-1]
    return 0 if width >= WIDTHS[0] else POINTS


def cover(first: int, last: int, level: int) -> Iterator[Piece]:
    """Cover steps exactly by the largest buckets from ``level`` down, and by points at the ragged ends."""
    if first > last:
        return
    if level == POINTS:
        yield Piece(POINTS, first, last)
        return
    width = WIDTHS[level]
    begin, end = -(-first // width) * width, (last + 1) // width * width
    if begin >= end:
        yield from cover(first, last, level - 1)
        return
    yield Piece(level, begin, end - 1)
    yield from cover(first, begin - 1, level - 1)
    yield from cover(end, last, level - 1)
