/* A reproduction's page: the curves of both runs over each other. */
import { callApi } from "./http.js";
import { ChartSet } from "./run-charts.js";

const section = document.querySelector("[data-both-ids]");
const charts = new ChartSet(section, "canvas[data-both]", { beside: true });
const ids = section.dataset.bothIds.split(",");
const answers = await Promise.all(ids.map((id) => callApi(`/api/training/runs/${id}/metrics?max_points=500`)));
const series = answers.flatMap((answer) =>
  answer.series.map((one) => ({ ...one, run_id: answer.run_id, label: `run ${answer.run_id} ${one.name}` })),
);
charts.show(series, { fresh: true });
