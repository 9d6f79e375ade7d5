/* A run's page: draws its curves and, while the run is alive, follows it by cursor. */
import { callApi } from "./http.js";
import { ChartSet } from "./run-charts.js";

const ENDED = new Set(["stopped", "completed", "failed", "lost"]);
const POLL_MS = 2000;
const HIDDEN_MS = 15000;
const SLOWEST_MS = 60000;

const root = document.querySelector("[data-run]");
const url = root.dataset.metricsUrl;
const charts = new ChartSet(root);
const notice = root.querySelector("[data-live-notice]");
let cursor = "";
let failures = 0;

function shortNumber(value) {
  if (value === null || value === undefined) return "not finite";
  const size = Math.abs(value);
  if (size !== 0 && size < 1e-3) return value.toExponential(3);
  return size >= 1e4 ? Math.round(value).toLocaleString("en") : String(Number(value.toPrecision(4)));
}

function showLatest(series) {
  for (const one of series) {
    const last = one.step.length - 1;
    if (last < 0) continue;
    for (const cell of root.querySelectorAll(`[data-latest="${one.name}"]`)) cell.textContent = shortNumber(one.value[last]);
    for (const cell of root.querySelectorAll(`[data-latest-step="${one.name}"]`)) cell.textContent = one.step[last];
  }
}

function showState(answer) {
  const badge = root.querySelector("[data-status-badge]");
  if (badge.textContent !== answer.status) {
    badge.textContent = answer.status;
    badge.className = `badge badge-${answer.status}`;
  }
  root.querySelector("[data-phase]").textContent = ENDED.has(answer.status) ? "" : answer.phase;
  const bar = root.querySelector("[data-progress]");
  if (bar) {
    bar.value = answer.step;
    root.querySelector("[data-progress-text]").textContent = `step ${answer.step} of ${answer.total_steps}`;
  }
}

function showNotice(text) {
  notice.textContent = text;
  notice.hidden = !text;
}

async function look() {
  const first = cursor === "";
  const answer = await callApi(first ? url : `${url}?after=${encodeURIComponent(cursor)}`);
  cursor = answer.cursor;
  charts.show(answer.series, { fresh: first || answer.reset });
  if (!first) showLatest(answer.series);
  showState(answer);
  return answer;
}

async function follow() {
  let wait = document.hidden ? HIDDEN_MS : POLL_MS;
  try {
    const answer = await look();
    failures = 0;
    showNotice("");
    if (ENDED.has(answer.status)) {
      // The end brings results, checkpoints and samples that only a new page shows.
      if (root.dataset.alive === "true") window.location.reload();
      return;
    }
    if (root.dataset.alive === "false") return;
  } catch (error) {
    failures += 1;
    if (error.status === 401 || error.status === 403) {
      showNotice("You are signed out. Load the page again to sign in.");
      return;
    }
    wait = Math.min(SLOWEST_MS, POLL_MS * 2 ** failures);
    showNotice(`The numbers below may be old: the site does not answer (${error.message}). Trying again in ${Math.round(wait / 1000)} s.`);
  }
  setTimeout(follow, wait);
}

follow();
