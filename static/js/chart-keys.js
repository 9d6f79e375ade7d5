/* A chart by keyboard: arrows walk from point to point, + and - zoom, shift and an arrow pan, Escape and 0 show all. */
import { scaleRange } from "./chart-zoom.js";

const WALKS = { ArrowRight: 1, ArrowLeft: -1, PageDown: 10, PageUp: -10, Home: -Infinity, End: Infinity };

/** What the keys do, for a person. */
export const KEYS_TEXT =
  "With a chart in focus: ← → walk from point to point, Page Up and Page Down by ten, Home and End to the ends; + and − zoom, " +
  "Shift with ← → pans, Escape or 0 shows everything.";

/** Follow the keys. `zoom(range)` and `reset()` change what is shown; `say(text)` tells the point that was walked to. */
export function walkWithKeys(canvas, getChart, { zoom, reset, say }) {
  let at = -1;
  canvas.tabIndex = 0;

  const show = (chart, active) => {
    const element = active.length ? chart.getDatasetMeta(active[0].datasetIndex).data[active[0].index] : { x: 0, y: 0 };
    chart.setActiveElements(active);
    chart.tooltip.setActiveElements(active, { x: element.x, y: element.y });
    chart.draw();
  };
  const line = (chart) => chart.data.datasets.findIndex((set) => !set.hidden && !set.behind && set.data.length);
  /** The indices of the points that are in view. */
  const inView = (chart, datasetIndex) => {
    const { min, max } = chart.scales.x;
    const { data } = chart.data.datasets[datasetIndex];
    const first = data.findIndex(({ x }) => x >= min);
    const last = data.findLastIndex(({ x }) => x <= max);
    return first < 0 || last < first ? null : [first, last];
  };
  const walk = (chart, by) => {
    const datasetIndex = line(chart);
    const view = datasetIndex < 0 ? null : inView(chart, datasetIndex);
    if (!view) return;
    at = at < view[0] || at > view[1] ? (by === -Infinity ? view[0] : view[1]) : Math.min(view[1], Math.max(view[0], at + by));
    show(chart, [{ datasetIndex, index: at }]);
    const { title, body, footer } = chart.tooltip;
    say([...(title ?? []), ...(body ?? []).flatMap((part) => part.lines), ...(footer ?? [])].join("; "));
  };

  canvas.addEventListener("keydown", (event) => {
    const chart = getChart();
    if (!chart || event.ctrlKey || event.metaKey || event.altKey) return;
    const { min, max } = chart.scales.x;
    const centre = chart.data.datasets[line(chart)]?.data[at]?.x;
    if (event.shiftKey && (event.key === "ArrowLeft" || event.key === "ArrowRight")) {
      const by = ((max - min) / 4) * (event.key === "ArrowRight" ? 1 : -1);
      zoom([min + by, max + by], true);
    } else if (event.key in WALKS) walk(chart, WALKS[event.key]);
    else if (event.key === "+" || event.key === "=") zoom(scaleRange([min, max], 0.5, centre >= min && centre <= max ? centre : undefined));
    else if (event.key === "-") zoom(scaleRange([min, max], 2));
    else if (event.key === "0" || event.key === "Escape") reset();
    else return;
    event.preventDefault();
  });
  canvas.addEventListener("blur", () => {
    const chart = getChart();
    if (chart) show(chart, []);
    say("");
  });
}
