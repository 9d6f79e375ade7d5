/* The options of Chart.js for a line chart: axes, tooltip, and no animation. */
import { AXES } from "./chart-axes.js";
import { marksNear } from "./chart-markers.js";
import { fullMoment, placeText, tickOptions, valueText } from "./chart-ticks.js";

const TOLD = 8;

function titleOf(items, axis) {
  if (!items.length) return "";
  const { series } = items[0].dataset.tunixShape;
  const { x, i } = items[0].raw;
  const time = series.time?.[i];
  const parts = [`step ${series.step[i]}`];
  if (axis !== "step") parts.unshift(placeText(axis, x));
  if (time !== undefined && axis !== "wall") parts.push(fullMoment(time));
  return parts.join(" · ");
}

/** Of very many lines at one place, those next to the pointer are told: more would not fit. */
function isTold(item, items) {
  if (item.dataset.behind) return false;
  const lines = items.filter((one) => !one.dataset.behind);
  if (lines.length <= TOLD) return true;
  const height = item.chart.tunix.pointer ?? 0;
  const near = lines.map((one) => [Math.abs(one.element.y - height) || 0, one]).sort((a, b) => a[0] - b[0]);
  return near.slice(0, TOLD).some(([, one]) => one === item);
}

/** How many lines of a chart have a point, told or not. */
const countLines = (chart) => chart.data.datasets.filter((set) => !set.behind && !set.hidden && set.data.length).length;

function footerOf(items) {
  if (!items.length) return [];
  const [{ chart, parsed }] = items;
  const more = items.length === TOLD ? countLines(chart) - TOLD : 0;
  return [...(more > 0 ? [`nearest to the pointer; up to ${more} more lines here`] : []), ...marksNear(chart, parsed.x)];
}

function linesOf(item) {
  const { series, label, smoothed } = item.dataset.tunixShape;
  const crowded = countLines(item.chart) > TOLD / 2;
  const { i } = item.raw;
  const unit = series.unit ? ` ${series.unit}` : "";
  const lines = [`${label}: ${series.value[i] ?? "not finite"}${series.value[i] === null ? "" : unit}`];
  if (crowded) return lines;
  if (series.count[i] > 1) lines.push(`least ${series.min[i]}, greatest ${series.max[i]} of ${series.count[i]} points`);
  if (smoothed && smoothed[i] !== null) lines.push(`smoothed ${Number(smoothed[i].toPrecision(6))}`);
  return lines;
}

/** Give the options for what a chart shows. */
export function optionsOf({ view, drawn, colours, unit = "" }) {
  const axisLook = { grid: { color: colours.grid, tickLength: 4 }, border: { color: colours.grid } };
  const { ticks, ...places } = tickOptions(view.axis);
  const [min, max] = view.zoom ?? [];
  const limits = drawn.limits ? { min: drawn.limits.low, max: drawn.limits.high } : {};
  return {
    animation: false,
    parsing: false,
    normalized: true,
    responsive: true,
    maintainAspectRatio: false,
    spanGaps: false,
    // Room for a mark at the very end.
    layout: { padding: { right: 6 } },
    interaction: { mode: "nearest", axis: "x", intersect: false },
    scales: {
      x: {
        type: "linear",
        bounds: "data",
        min,
        max,
        ...axisLook,
        ...places,
        ticks: { color: colours.soft, maxRotation: 0, includeBounds: false, autoSkipPadding: 18, ...ticks },
        title: { display: true, text: AXES[view.axis].title, color: colours.soft },
      },
      y: {
        type: view.log ? "logarithmic" : "linear",
        ...limits,
        ...axisLook,
        ticks: { color: colours.soft, maxTicksLimit: 7, includeBounds: !drawn.limits, callback: (value, _, ticks) => valueText(value, view.log ? [] : ticks, unit) },
      },
    },
    plugins: {
      legend: { display: false },
      tooltip: {
        backgroundColor: colours.surface,
        titleColor: colours.text,
        bodyColor: colours.text,
        footerColor: colours.soft,
        footerFont: { weight: "normal" },
        borderColor: colours.border,
        borderWidth: 1,
        padding: 10,
        filter: (item, _index, items) => isTold(item, items),
        itemSort: (a, b) => (b.parsed.y || 0) - (a.parsed.y || 0) || a.datasetIndex - b.datasetIndex,
        callbacks: {
          title: (items) => titleOf(items, view.axis),
          label: linesOf,
          footer: footerOf,
        },
      },
    },
  };
}
