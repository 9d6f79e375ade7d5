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
const extras = [...root.querySelectorAll("[data-with]")];
let cursor = "";
let failures = 0;

/** Name what is not the run's own curve after where it comes from; it is drawn faintly. */
function named(one) {
  if (one.superseded) return { ...one, metric: one.name, name: `${one.name}, overtaken in attempt ${one.attempt}`, faint: true };
  if (one.run_id) return { ...one, metric: one.name, name: `${one.name}, run ${one.run_id}`, faint: true };
  return { ...one, metric: one.name };
}

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

/** Say anew why a queued run waits, as the queue moves on. */
async function showWaiting() {
  const place = root.querySelector("[data-waiting]");
  if (place) place.textContent = (await callApi(root.dataset.runUrl)).waiting;
}

async function look() {
  const first = cursor === "";
  const query = new URLSearchParams();
  for (const box of extras) if (box.checked) query.set(box.dataset.with, "true");
  if (!first) query.set("after", cursor);
  const answer = await callApi(`${url}?${query}`);
  cursor = answer.cursor;
  charts.show(answer.series.map(named), { fresh: first || answer.reset, metric: (one) => one.metric });
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
    if (root.dataset.status === "queued") {
      // Its start brings an attempt, a log and other things to do.
      if (answer.status !== "queued") {
        window.location.reload();
        return;
      }
      await showWaiting();
    }
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

for (const box of extras) {
  box.addEventListener("change", () => {
    cursor = "";
    look().catch((error) => showNotice(`The curves could not be read: ${error.message}.`));
  });
}

follow();
