/* Curves of several runs over each other. */
import { readSeries } from "./chart-source.js";
import { ChartSet } from "./run-charts.js";

const MOST_POINTS = 500;
const place = document.querySelector("[data-compare-ids]");
const ids = place.dataset.compareIds.split(",");
const names = [...place.querySelectorAll("canvas[data-chart]")].map((canvas) => canvas.dataset.names);
const charts = new ChartSet(place);

/** Name a run's curve after the run; its colour is its place among the runs, whatever it has points of. */
function ofItsRun(one) {
  return {
    ...one,
    metric: one.name,
    name: `run ${one.run_id} ${one.name}`,
    label: `run ${one.run_id}`,
    colour: ids.indexOf(String(one.run_id)),
  };
}

try {
  const series = await readSeries(ids, { names, most: MOST_POINTS });
  charts.show(series.map(ofItsRun), { fresh: true });
} catch (error) {
  const notice = document.querySelector("[data-compare-notice]");
  notice.textContent = `The curves could not be read: ${error.message}. Load the page again to try once more.`;
  notice.hidden = false;
  charts.failed(error.message);
}
