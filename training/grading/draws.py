"""Several texts after one prompt: the chance that one of k is right, and the answer of the majority."""

from collections.abc import Hashable, Sequence
from fractions import Fraction
from math import comb


def pass_at_k(n: int, c: int, k: int) -> float:
    """Estimate without bias the chance that one of k texts is right, from c right ones among n.

    1 - C(n-c, k) / C(n, k), worked out exactly (Chen et al., arXiv 2107.03374).

    Raises:
        ValueError: unless ``0 <= c <= n`` and ``1 <= k <= n``.
    """
    if not 0 <= c <= n or not 1 <= k <= n:
        raise ValueError(f"no pass@{k} of {c} right texts among {n}")
    return float(1 - Fraction(comb(n - c, k), comb(n, k)))


def majority(votes: Sequence[Hashable | None]) -> int | None:
    """Give the place of the first vote for the commonest answer; None where nobody voted.

    None is a text without an answer, which votes for nothing. Of answers with equally many votes
    the one that was given first wins.
    """
    counts: dict[Hashable, int] = {}
    first: dict[Hashable, int] = {}
    for place, vote in enumerate(votes):
        if vote is not None:
            counts[vote] = counts.get(vote, 0) + 1
            first.setdefault(vote, place)
    if not counts:
        return None
    return first[max(counts, key=lambda vote: (counts[vote], -first[vote]))]
