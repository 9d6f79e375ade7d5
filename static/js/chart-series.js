/* Series as charts keep them: columns that later points are appended to.

   A series is what the metrics API answers:
     {name, unit, step: [], value: [], min: [], max: [], count: [], time?: [], last?: [], non_finite?, total_points}
   and may also have `run_id`, `label` (what people read), `metric` (what groups it with others), `colour`
   (index of its line), `faint` (drawn behind), `attempt` and `superseded`. */

const COLUMNS = ["step", "value", "min", "max", "count", "time", "last"];

/** Tell series apart: one metric of one run, and apart from it each attempt that was overtaken. */
export const keyOf = (series) => `${series.run_id ?? ""}|${series.name}|${series.superseded ? series.attempt : ""}`;
/** What people read as the name of a series. */
export const labelOf = (series) => series.label ?? series.name;
/** The metric that a series shows. */
export const metricOf = (series) => series.metric ?? series.name;

/** Keep a copy of a series that later points can be appended to. */
export function copySeries(series) {
  const copy = { ...series, non_finite: [...(series.non_finite ?? [])] };
  for (const column of COLUMNS) copy[column] = [...(series[column] ?? [])];
  for (const column of ["min", "max", "last"]) if (!copy[column].length) copy[column] = [...copy.value];
  if (!copy.count.length) copy.count = copy.step.map(() => 1);
  return copy;
}

/** Append later points to a series that is held.

    A point that comes again gives way to the new one. A group of points that reaches beyond the first new step
    stays whole, and of the new points only those behind it are taken: cutting it would lose what it stands for. */
export function appendTo(held, later) {
  let fresh = copySeries(later);
  if (fresh.step.length) {
    let keep = held.step.findIndex((step) => step >= fresh.step[0]);
    const end = held.step.length - 1;
    if (keep >= 0 && held.count.slice(keep).some((count) => count > 1)) {
      fresh = selectFrom(fresh, (index) => fresh.step[index] > held.step[end]);
      keep = -1;
    }
    for (const column of COLUMNS) {
      if (keep >= 0) held[column].length = Math.min(held[column].length, keep);
      held[column].push(...fresh[column]);
    }
    if (keep >= 0) held.non_finite = held.non_finite.filter((step) => step < fresh.step[0]);
  }
  held.non_finite = [...new Set([...held.non_finite, ...fresh.non_finite])].sort((a, b) => a - b);
  held.total_points = Math.max(held.total_points ?? 0, later.total_points ?? 0, held.step.length);
  if (later.non_finite_count !== undefined) held.non_finite_count = later.non_finite_count;
}

/** Give the part of a series whose indices pass. */
export function selectFrom(series, passes) {
  const kept = series.step.map((_, index) => index).filter(passes);
  const part = { ...series };
  for (const column of COLUMNS) part[column] = series[column]?.length ? kept.map((index) => series[column][index]) : [];
  return part;
}
