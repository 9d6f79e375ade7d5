/* Finer points for charts that are zoomed in: what to ask for, and whose the answers are. */
import { stepRange } from "./chart-axes.js";
import { keyOf, metricOf } from "./chart-series.js";
import { readSeries } from "./chart-source.js";

/** As many points as a wide screen can tell apart. */
const DETAIL_POINTS = 2500;

const owner = (series) => `${series.run_id}|${metricOf(series)}`;

/** Whether a series holds groups of points, so that asking again can tell more. */
const isCoarse = (series) => !series.superseded && series.run_id !== undefined && series.count.some((count) => count > 1);

/** Charts that could show more of a range than they hold. */
export const coarseCharts = (charts) => charts.filter((chart) => chart.view.zoom && !chart.detail && chart.series.some(isCoarse));

/** Say what to ask for: [{ids, names, from, to}], the runs that need the same steps together. */
export function detailRequests(charts) {
  const ranges = new Map();
  const names = new Set();
  for (const { series, positions, view } of charts) {
    for (const one of series.filter(isCoarse)) {
      const range = stepRange(positions, view.axis, one, view.zoom);
      if (!range) continue;
      // The curve of a run that this one came from ends where it was left.
      if (one.faint) range[1] = Math.min(range[1], one.step.at(-1));
      const known = ranges.get(one.run_id) ?? range;
      ranges.set(one.run_id, [Math.min(known[0], range[0]), Math.max(known[1], range[1])]);
      names.add(metricOf(one));
    }
  }
  const together = new Map();
  for (const [id, range] of ranges) together.set(range.join(), [...(together.get(range.join()) ?? []), id]);
  return [...together].map(([range, ids]) => {
    const [from, to] = range.split(",").map(Number);
    return { ids, names: [...names], from, to };
  });
}

/** Read finer points for charts, and give them to each. */
export async function readDetail(charts, signal) {
  const answers = await Promise.all(detailRequests(charts).map((request) => readSeries(request.ids, { ...request, most: DETAIL_POINTS, signal })));
  const found = new Map(answers.flat().map((series) => [owner(series), series]));
  for (const chart of charts) {
    const pairs = chart.series.filter((whole) => isCoarse(whole) && found.has(owner(whole)));
    chart.setDetail(pairs.map((whole) => [keyOf(whole), { ...whole, ...found.get(owner(whole)), name: whole.name }]));
  }
}
