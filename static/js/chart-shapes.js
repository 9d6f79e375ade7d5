/* What a chart draws of its series: points in their places, the smoothed line, the band, and what is left out. */
import { clipRange } from "./chart-clipping.js";
import { lineStyle, withAlpha } from "./chart-palette.js";
import { keyOf, labelOf, metricOf } from "./chart-series.js";
import { smooth } from "./chart-smoothing.js";

const FEW_POINTS = 40;
const MANY_LINES = 8;

/** Choose colour and dash of a line: each run has its own where there are several, else each metric.

    A second metric of several runs shares the style of its run and is thinner. */
function styleOf(series, all) {
  const own = all.filter((one) => !one.faint);
  const runs = [...new Set(own.map((one) => one.run_id))];
  // What is not the run's own curve has the colour of the metric that it belongs to, and stays behind it.
  const like = series.faint ? own.find((one) => metricOf(one) === metricOf(series)) : series;
  const index = like?.colour ?? (runs.length > 1 ? runs.indexOf(like?.run_id) : own.indexOf(like));
  const second = runs.length > 1 && metricOf(series) !== metricOf(own[0] ?? series);
  return { ...lineStyle(index, series.faint), width: second ? 1 : 1.75 };
}

function shapeOf(series, state) {
  const { view, positions } = state;
  const source = state.detail?.get(keyOf(series)) ?? series;
  const places = positions.of(view.axis, source);
  const smoothed = view.smooth > 0 ? smooth(source.value, view.smooth, source.count) : null;
  const hides = (value) => value === null || value === undefined || (view.log && value <= 0);
  const kept = places.map((_, index) => index).filter((index) => Number.isFinite(places[index]));
  kept.sort((a, b) => places[a] - places[b]);
  const [from, to] = view.zoom ?? [-Infinity, Infinity];
  const seen = kept.filter((index) => places[index] >= from && places[index] <= to);
  const pointsOf = (column) => kept.map((index) => ({ x: places[index], y: hides(column[index]) ? NaN : column[index], i: index }));
  const counted = seen.reduce((sum, index) => sum + (source.count[index] ?? 1), 0);
  return {
    series: source,
    key: keyOf(series),
    label: labelOf(series),
    style: styleOf(series, state.series),
    hidden: state.hidden.has(keyOf(series)),
    grouped: seen.some((index) => source.count[index] > 1),
    seen,
    smoothed,
    total: view.zoom ? counted : Math.max(series.total_points ?? 0, series.step.length),
    unplaced: places.length - kept.length,
    notPositive: seen.filter((index) => source.value[index] !== null && source.value[index] <= 0).length,
    broken: brokenOf(source, state, from, to),
    brokenCount: view.zoom ? undefined : series.non_finite_count,
    value: pointsOf(source.value),
    least: pointsOf(source.min),
    greatest: pointsOf(source.max),
    smooth: smoothed && pointsOf(smoothed),
  };
}

function brokenOf(series, { view, positions }, from, to) {
  const placed = series.non_finite.map((step) => ({ step, x: positions.at(view.axis, series, step) }));
  return placed.filter(({ x }) => Number.isFinite(x) && x >= from && x <= to);
}

/** Work out the shapes of all series, in their order, and the limits of a clipped y axis. */
export function shapesOf(state) {
  const shapes = state.series.map((series) => shapeOf(series, state));
  const labels = shapes.map((shape) => shape.label);
  for (const shape of shapes) {
    const alone = labels.indexOf(shape.label) === labels.lastIndexOf(shape.label);
    if (!alone) shape.label += ` ${metricOf(shape.series)}`;
  }
  const { clip, log } = state.view;
  const visible = shapes.filter((shape) => !shape.hidden);
  const seen = (column) => visible.flatMap((shape) => shape.seen.map((index) => shape.series[column][index] ?? NaN));
  const limits = clip ? clipRange(seen("min"), seen("max"), clip, log) : null;
  for (const shape of shapes) {
    const { value, min, max } = shape.series;
    const beyond = (index) => (min[index] ?? value[index]) < limits.low || (max[index] ?? value[index]) > limits.high;
    shape.outside = limits ? shape.seen.filter((index) => value[index] !== null && beyond(index)) : [];
  }
  return { shapes, limits };
}

/** Give the datasets that Chart.js draws of a shape: the line first, what lies behind it after. */
export function datasetsOf(shape, _index, all) {
  // Behind many lines everything else would be a fog.
  const pale = all.length > MANY_LINES ? 0.4 : 1;
  const { colour, dash, width } = shape.style;
  const { faint } = shape.series;
  const few = shape.seen.length <= FEW_POINTS;
  const base = { hidden: shape.hidden, tunixShape: shape, borderColor: colour, backgroundColor: colour };
  const front = { ...base, label: shape.label, borderWidth: width, borderDash: dash, order: faint ? 2 : 0, pointHoverRadius: 4 };
  const raw = { ...front, data: shape.value, pointRadius: few ? 2.5 : 0 };
  const sets = [raw];
  if (shape.smooth) {
    sets[0] = { ...front, data: shape.smooth, pointRadius: 0 };
    const behind = withAlpha(colour, 0.3 * pale);
    sets.push({ ...raw, borderColor: behind, backgroundColor: behind, borderWidth: 1, order: 3, pointHoverRadius: 0, behind: true });
  }
  if (shape.series.count.some((count) => count > 1)) {
    const edge = { ...base, borderWidth: 0, pointRadius: 0, pointHoverRadius: 0, order: 4, behind: true };
    edge.backgroundColor = withAlpha(colour, (shape.smooth ? 0.12 : 0.2) * pale);
    sets.push({ ...edge, label: `${shape.label} least`, data: shape.least, fill: false });
    sets.push({ ...edge, label: `${shape.label} greatest`, data: shape.greatest, fill: "-1" });
  }
  return sets;
}
