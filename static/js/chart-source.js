/* Where charts get their points and marks from: the API. */
import { callApi } from "./http.js";

const ROOT = "/api/training";

/** Read series of one run or of several; each names its run. */
export async function readSeries(ids, { names, from, to, most = 1000, signal }) {
  const query = new URLSearchParams({ names: names.join(","), max_points: String(most) });
  if (from !== undefined) query.set("from_step", String(from));
  if (to !== undefined) query.set("to_step", String(to));
  const answers = ids.length > 1 ? await ofSeveral(ids, query, signal) : [await callApi(`${ROOT}/runs/${ids[0]}/metrics?${query}`, { signal })];
  return answers.flatMap((run) => run.series.map((one) => ({ ...one, run_id: run.run_id })));
}

async function ofSeveral(ids, query, signal) {
  query.set("ids", ids.join(","));
  return (await callApi(`${ROOT}/metrics?${query}`, { signal })).runs;
}

/** Read the checkpoints, resumes and evaluations of a run, and when it started. */
export const readMarks = (id) => callApi(`${ROOT}/runs/${id}/marks`);
