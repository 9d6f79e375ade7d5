"""Which of many hashes occur more than once, or at all, in little memory."""

from array import array
from collections import defaultdict

MOST_SLOTS = 1 << 26
MOST_BITS = 1 << 28


def repeated(values: "array[int]") -> list[list[int]]:
    """Group the places of equal 64-bit hashes; only what occurs more than once is given, in order.

    A byte for every 16th of a hash tells first which can be repeated, so that the rest takes no room
    in the table: 16 to 32 bytes a hash in all, plus the groups.
    """
    size = min(MOST_SLOTS, 1 << max(10, (16 * len(values)).bit_length()))
    mask, seen = size - 1, bytearray(size)
    for value in values:
        slot = value & mask
        if seen[slot] < 2:
            seen[slot] += 1
    groups: dict[int, list[int]] = defaultdict(list)
    for place, value in enumerate(values):
        if seen[value & mask] > 1:
            groups[value].append(place)
    return [group for group in groups.values() if len(group) > 1]


class MaybeSeen:
    """A set of 64-bit hashes that never says no wrongly, and yes wrongly for few; 32 MiB at most."""

    def __init__(self, expected: int) -> None:
        """Make room; up to 32 million hashes it is wrong for less than one in eight."""
        self._mask = min(MOST_BITS, 1 << max(16, (16 * expected).bit_length())) - 1
        self._bits = bytearray((self._mask + 1) >> 3)

    def add(self, values: set[int]) -> None:
        """Take hashes in."""
        bits, mask = self._bits, self._mask
        for value in values:
            slot = value & mask
            bits[slot >> 3] |= 1 << (slot & 7)

    def keep(self, values: set[int]) -> set[int]:
        """Leave out the hashes that were not taken in."""
        bits, mask = self._bits, self._mask
        return {value for value in values if bits[(value & mask) >> 3] & 1 << (value & mask & 7)}
