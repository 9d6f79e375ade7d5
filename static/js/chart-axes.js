/* What runs along the x axis: step, time or what was seen, and how a step is found on it. */

/** The choices, in order. A `metric` names the run's own series that gives the place of a step. */
export const AXES = {
  step: { label: "Step", title: "step" },
  relative: { label: "Time since the start", title: "time since the start of the run" },
  wall: { label: "Wall time", title: "wall time (UTC)" },
  tokens: { label: "Tokens", title: "tokens seen", metric: "train/tokens_seen" },
  epoch: { label: "Epoch", title: "epoch", metric: "train/epoch" },
};
/** The metrics that some axes need of every run. */
export const AXIS_METRICS = Object.values(AXES).flatMap((axis) => axis.metric ?? []);

/** Read a value between the points of a rising column; NaN outside of them. */
export function interpolate(from, to, at) {
  const end = from.length - 1;
  if (end < 0 || at < from[0] || at > from[end]) return NaN;
  let low = 0;
  let high = end;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (from[middle] < at) low = middle + 1;
    else high = middle;
  }
  if (from[low] === at) return to[low];
  const share = (at - from[low - 1]) / (from[low] - from[low - 1]);
  return to[low - 1] + share * (to[low] - to[low - 1]);
}

/** Knows for each run where its steps lie on each axis. */
export class Positions {
  constructor() {
    this.runs = new Map();
  }

  run(series) {
    const key = String(series.run_id ?? "");
    if (!this.runs.has(key)) this.runs.set(key, { first: Infinity, started: Infinity, maps: {} });
    return this.runs.get(key);
  }

  /** Take from series what places the steps of their runs. */
  learn(all) {
    for (const series of all) {
      const run = this.run(series);
      if (series.superseded) continue;
      if (series.time?.length) run.first = Math.min(run.first, series.time[0]);
      if (!AXIS_METRICS.includes(series.name)) continue;
      // A group of points stands at its last step, so its last value belongs there; these only ever rise.
      const values = series.last?.length ? series.last : series.max;
      const kept = series.step.map((_, index) => index).filter((index) => Number.isFinite(values[index]));
      const map = { step: kept.map((index) => series.step[index]), value: kept.map((index) => values[index]) };
      // Before the first record there lies nothing but the way from zero.
      if (map.step.length && map.step[0] > 0) {
        map.step.unshift(0);
        map.value.unshift(0);
      }
      run.maps[series.name] = map;
    }
  }

  /** Say when a run started (Unix seconds). */
  started(runId, seconds) {
    if (Number.isFinite(seconds)) this.run({ run_id: runId }).started = seconds;
  }

  /** When a run began: its start, or its first point where that is earlier, as for imported runs. */
  startOf(series) {
    const run = this.run(series);
    return Math.min(run.started, run.first);
  }

  /** Place a step of a series' run; `time` is the moment of what is placed, where that is known. */
  at(axis, series, step, time) {
    if (axis === "step") return step;
    const { metric } = AXES[axis];
    if (metric) {
      const map = this.run(series).maps[metric];
      return map ? interpolate(map.step, map.value, step) : NaN;
    }
    const moment = time ?? (series.time?.length ? interpolate(series.step, series.time, step) : NaN);
    return axis === "wall" ? moment : moment - this.startOf(series);
  }

  /** Place every point of a series. */
  of(axis, series) {
    if (axis === "step") return series.step;
    return series.step.map((step, index) => this.at(axis, series, step, series.time?.[index]));
  }

  /** Why an axis cannot be drawn for any of these series; empty where it can. */
  reasonAgainst(axis, all) {
    const { metric } = AXES[axis];
    const own = all.filter((series) => series.step.length && !series.superseded);
    if (axis === "step" || !own.length) return "";
    if (!metric) return own.some((series) => series.time?.length) ? "" : "the points say no time";
    if (own.some((series) => this.run(series).maps[metric])) return "";
    return new Set(own.map((series) => series.run_id)).size > 1 ? `no run has ${metric}` : `the run has no ${metric}`;
  }
}

/** Give the steps, from and to, of what a series shows between two places; null where that is nothing.

    The next points on both sides are included, so that lines go on to the edges. */
export function stepRange(positions, axis, series, [from, to]) {
  if (axis === "step") {
    const margin = Math.max(1, Math.round((to - from) / 20));
    return [Math.max(0, Math.floor(from) - margin), Math.max(0, Math.ceil(to) + margin)];
  }
  const places = positions.of(axis, series);
  const inside = places.map((_, index) => index).filter((index) => places[index] >= from && places[index] <= to);
  let [low, high] = [inside[0], inside.at(-1)];
  if (!inside.length) {
    high = places.findIndex((place) => place > to);
    low = high;
    if (high < 1) return null;
  }
  return [series.step[Math.max(0, low - 1)], series.step[Math.min(series.step.length - 1, high + 1)]];
}
