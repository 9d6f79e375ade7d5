"""How sure a share is."""

import math
from typing import Final

Z_95: Final = 1.959963984540054


def wilson_interval(correct: int, n: int) -> tuple[float, float]:
    """Give the 95 % interval of a share, by Wilson's score (E. B. Wilson, 1927).

    Raises:
        ValueError: unless ``0 <= correct <= n``.
    """
    if not 0 <= correct <= n:
        raise ValueError(f"{correct} of {n} is no share")
    if n == 0:
        return 0.0, 1.0
    share, z2 = correct / n, Z_95**2
    centre = share + z2 / (2 * n)
    spread = Z_95 * math.sqrt(share * (1 - share) / n + z2 / (4 * n * n))
    scale = 1 + z2 / n
    low = 0.0 if correct == 0 else max(0.0, (centre - spread) / scale)
    high = 1.0 if correct == n else min(1.0, (centre + spread) / scale)
    return low, high
