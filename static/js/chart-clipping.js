/* A y axis that leaves outliers outside, and says how many. */

/** Give the percentile of sorted values, between 0 and 100, on the straight line between its neighbours. */
export function percentile(sorted, percent) {
  const at = ((sorted.length - 1) * percent) / 100;
  const below = Math.floor(at);
  const above = Math.min(sorted.length - 1, below + 1);
  return sorted[below] + (at - below) * (sorted[above] - sorted[below]);
}

/** Give {low, high} of an axis that leaves `percent` of the least values outside below, and of the greatest above.

    For single points least and greatest are the same; a group of points counts with both. A margin of a twentieth is
    added on both sides. Null where that leaves nothing to clip. */
export function clipRange(least, greatest, percent, logarithmic = false) {
  const [lows, highs] = [least, greatest].map((values) =>
    Float64Array.from(values.filter((value) => Number.isFinite(value) && !(logarithmic && value <= 0))).sort(),
  );
  if (!percent || !lows.length || !highs.length) return null;
  const low = percentile(lows, percent);
  const high = percentile(highs, 100 - percent);
  if (!(high > low)) return null;
  if (logarithmic) {
    const factor = (high / low) ** 0.05;
    return { low: low / factor, high: high * factor };
  }
  const margin = (high - low) / 20;
  return { low: low - margin, high: high + margin };
}
