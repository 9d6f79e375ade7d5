"""Random choices that are the same on every machine and in every Python version."""

import hashlib
from collections.abc import Sequence

_WORD = 2**64


class Draw:
    """A stream of choices fixed by its name alone.

    The stream is SHA-256 over the name and a counter, read as 64-bit words; it does not lean on
    ``random`` (whose choices may change between Python versions) or on ``hash()``.
    """

    def __init__(self, name: str) -> None:
        self._name = name.encode()
        self._block = 0
        self._words: list[int] = []

    def below(self, limit: int) -> int:
        """Choose an integer from 0 to ``limit`` - 1, each equally likely (rejection sampling)."""
        fair = _WORD - _WORD % limit
        while (word := self._next()) >= fair:
            pass
        return word % limit

    def between(self, low: int, high: int) -> int:
        """Choose an integer from ``low`` to ``high``, both included."""
        return low + self.below(high - low + 1)

    def choice[T](self, options: Sequence[T]) -> T:
        """Choose one of the options."""
        return options[self.below(len(options))]

    def sample[T](self, options: Sequence[T], size: int) -> list[T]:
        """Choose ``size`` different options in random order (Fisher and Yates, stopped early)."""
        pool = list(options)
        for place in range(size):
            other = self.between(place, len(pool) - 1)
            pool[place], pool[other] = pool[other], pool[place]
        return pool[:size]

    def _next(self) -> int:
        if not self._words:
            digest = hashlib.sha256(self._name + b"/%d" % self._block).digest()
            self._block += 1
            self._words = [int.from_bytes(digest[at : at + 8]) for at in (24, 16, 8, 0)]
        return self._words.pop()
