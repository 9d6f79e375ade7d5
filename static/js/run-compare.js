/* Curves of several runs over each other. */
import { callApi } from "./http.js";
import { ChartSet } from "./run-charts.js";

const MOST_POINTS = 500;
const place = document.querySelector("[data-compare-ids]");
const ids = place.dataset.compareIds.split(",");
const names = [...place.querySelectorAll("canvas[data-chart]")].map((canvas) => canvas.dataset.names).join(",");
const charts = new ChartSet(place);

/** Name a run's curve after the run; its colour is its place among the runs, whatever it has points of. */
function ofRun(answer) {
  return answer.series.map((one) => ({
    ...one,
    metric: one.name,
    name: `run ${answer.run_id} ${one.name}`,
    label: `run ${answer.run_id}`,
    colour: ids.indexOf(String(answer.run_id)),
  }));
}

try {
  const query = new URLSearchParams({ names, max_points: MOST_POINTS });
  const answers = await Promise.all(ids.map((id) => callApi(`/api/training/runs/${id}/metrics?${query}`)));
  charts.show(answers.flatMap(ofRun), { fresh: true, metric: (one) => one.metric });
} catch (error) {
  const notice = document.querySelector("[data-compare-notice]");
  notice.textContent = `The curves could not be read: ${error.message}. Load the page again to try once more.`;
  notice.hidden = false;
}
