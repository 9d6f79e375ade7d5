/* Curves of several runs over each other, and the table of what differs. */
import { callApi } from "./http.js";
import { ChartSet } from "./run-charts.js";

const ids = document.querySelector("[data-compare-ids]").dataset.compareIds.split(",");
const charts = new ChartSet();

const answers = await Promise.all(ids.map((id) => callApi(`/api/training/runs/${id}/metrics?max_points=500`)));
const series = answers.flatMap((answer) =>
  answer.series.map((one) => ({ ...one, run_id: answer.run_id, label: `run ${answer.run_id} ${one.name}` })),
);
charts.show(series, { fresh: true });

document.querySelector("[data-only-differences]").addEventListener("change", (event) => {
  for (const row of document.querySelectorAll("tr[data-differs]")) {
    row.hidden = event.target.checked && row.dataset.differs === "false";
  }
});
