"""Is it slower than before? The ratio of two medians, with the noise of both sides. Pure statistics.

A side is a list of repeats, each the step times (s) of one start. Times within a start hang together, and
starts differ from each other, so both levels are drawn anew (a two-stage bootstrap: Davison and Hinkley,
Bootstrap Methods and their Application, 1997, section 3.8): first starts, then runs of steps within them.
"""

import math
import random
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

type Verdict = Literal["slower", "faster", "no difference", "can't tell"]
type Repeats = Sequence[Sequence[float]]

# A change of the median step time up to this share counts as none.
TOLERANCE: Final = 0.05
CONFIDENCE: Final = 0.95
DRAWS: Final = 2000
DRAWS_A_START: Final = 200
# Beyond this, more starts are no advice: the machine must become quieter.
MAX_ADVISED: Final = 200
# Steps next to each other are drawn together, for a slow moment lasts several steps.
BLOCKS_A_REPEAT: Final = 6
# Of a single start nobody knows how starts differ; this much is assumed (a share of the median).
ASSUMED_BETWEEN_STARTS: Final = 0.01


@dataclass(frozen=True, slots=True)
class Comparison:
    """Step time against a baseline. ``ratio`` above 1 is slower; ``low`` and ``high`` bound it at 95 %.

    ``advised_repeats``: how many starts a side would settle it, None where it is settled or where more
    would not help.
    """

    ratio: float
    low: float
    high: float
    verdict: Verdict
    tolerance: float
    repeats: int
    baseline_repeats: int
    advised_repeats: int | None

    @property
    def is_regression(self) -> bool:
        """Whether the new one is slower beyond the tolerance."""
        return self.verdict == "slower"

    def in_words(self) -> str:
        """Say it in a sentence."""
        interval = f"step time × {self.ratio:.3f} (95 % interval {self.low:.3f} to {self.high:.3f})"
        starts = f"{self.repeats} against {self.baseline_repeats} starts"
        if self.verdict != "can't tell":
            return f"{self.verdict}: {interval}, {starts}."
        if self.advised_repeats is None:
            return f"can't tell: {interval}, {starts}; the machine is too noisy to settle it by more starts."
        return f"can't tell: {interval}, {starts}; about {self.advised_repeats} a side would tell."


def compare(new: Repeats, baseline: Repeats, *, tolerance: float = TOLERANCE, seed: int = 0) -> Comparison:
    """Compare two lists of repeats; the same input gives the same answer.

    Slower (or faster): the whole interval of the ratio lies above (below) 1, and the ratio is beyond the
    tolerance. No difference: the whole interval lies within the tolerance. Else nobody can tell yet.

    Raises:
        ValueError: for a side without a time, or a time that is not above zero.
    """
    for side in (new, baseline):
        if not side or any(not times or min(times) <= 0 for times in side):
            raise ValueError("each side needs at least one start, and each start times above zero")
    source = random.Random(seed)  # noqa: S311  statistics, no secret
    noise = [*_deviations(new), *_deviations(baseline)]
    ours, theirs = ([_medians(times, source) for times in side] for side in (new, baseline))
    ratios = sorted(_draw(ours, noise, source) / _draw(theirs, noise, source) for _ in range(DRAWS))
    tail = (1 - CONFIDENCE) / 2
    low, high = ratios[int(tail * DRAWS)], ratios[math.ceil((1 - tail) * DRAWS) - 1]
    ratio = middle(new) / middle(baseline)
    # Few starts drawn again vary less than starts do; and they may not hold the estimate itself.
    wider = _small_sample_factor(len(new), len(baseline))
    low, high = (
        min(ratio, ratio * (low / ratio) ** wider),
        max(ratio, ratio * (high / ratio) ** wider),
    )
    verdict = _verdict(ratio, low, high, tolerance)
    return Comparison(
        ratio=ratio,
        low=low,
        high=high,
        verdict=verdict,
        tolerance=tolerance,
        repeats=len(new),
        baseline_repeats=len(baseline),
        advised_repeats=_advised(new, baseline, ratio, low, high, tolerance)
        if verdict == "can't tell"
        else None,
    )


def middle(repeats: Repeats) -> float:
    """Give the median over starts of the median step time (s): no start counts more for being longer."""
    return statistics.median(statistics.median(times) for times in repeats)


def _small_sample_factor(new: int, baseline: int) -> float:
    """Widen an interval of few starts as Student's t does, and for their deviations from their own middle.

    The quantile of t is taken from its expansion around the normal one (Abramowitz and Stegun, 26.7.5).
    """
    least = min(new, baseline)
    if least < 2:
        return 1.0
    z, freedom = statistics.NormalDist().inv_cdf((1 + CONFIDENCE) / 2), new + baseline - 2
    t = z + (z**3 + z) / (4 * freedom) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2)
    return t / z * math.sqrt(least / (least - 1))


def _verdict(ratio: float, low: float, high: float, tolerance: float) -> Verdict:
    if low > 1 and ratio > 1 + tolerance:
        return "slower"
    if high < 1 and ratio < 1 / (1 + tolerance):
        return "faster"
    if low >= 1 / (1 + tolerance) and high <= 1 + tolerance:
        return "no difference"
    return "can't tell"


def _deviations(repeats: Repeats) -> list[float]:
    """Give how far each start's median lies from that of all, as a share."""
    if len(repeats) < 2:
        return []
    centre = middle(repeats)
    return [statistics.median(times) / centre - 1 for times in repeats]


def _medians(times: Sequence[float], source: random.Random) -> list[float]:
    """Draw medians that the steps of one start could have had."""
    return [statistics.median(_blocks(times, source)) for _ in range(DRAWS_A_START)]


def _draw(starts: Sequence[Sequence[float]], noise: Sequence[float], source: random.Random) -> float:
    """Draw starts, and of each a median; ``starts`` holds the possible medians of each."""
    if len(starts) == 1:
        # How starts differ is taken from the other side, or assumed.
        shift = source.choice(noise) if noise else source.gauss(0, ASSUMED_BETWEEN_STARTS)
        return source.choice(starts[0]) * (1 + shift)
    return statistics.median(source.choice(source.choice(starts)) for _ in starts)


def _blocks(times: Sequence[float], source: random.Random) -> list[float]:
    """Draw as many times as there are, in runs of neighbours."""
    size = max(1, len(times) // BLOCKS_A_REPEAT)
    drawn: list[float] = []
    while len(drawn) < len(times):
        start = source.randrange(len(times))
        # Around the end to the beginning, so that each time is as likely as any other.
        drawn += [times[(start + offset) % len(times)] for offset in range(size)]
    return drawn[: len(times)]


def _advised(
    new: Repeats, baseline: Repeats, ratio: float, low: float, high: float, tolerance: float
) -> int | None:
    """Say how many starts a side would narrow the interval enough, as its width falls with their root.

    Enough is what clears the nearest border from where the ratio is now.
    """
    half = max(high - ratio, ratio - low)
    distance = min(abs(ratio - 1), abs(ratio - 1 - tolerance), abs(ratio - 1 / (1 + tolerance)))
    wanted = max(distance, tolerance / 4)
    now = min(len(new), len(baseline))
    needed = max(now + 1, math.ceil(now * (half / wanted) ** 2))
    return needed if needed <= MAX_ADVISED else None
