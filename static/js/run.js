/* A run's page: draws its curves as they come into view and, while the run is alive, follows it by cursor. */
import { AXIS_METRICS } from "./chart-axes.js";
import { follow } from "./chart-live.js";
import { callApi } from "./http.js";
import { ChartSet } from "./run-charts.js";

const ENDED = new Set(["stopped", "completed", "failed", "lost"]);
/** As many metrics as the API takes in one question, less those that every one asks for. */
const NAMES_AT_ONCE = 40;

const root = document.querySelector("[data-run]");
const url = root.dataset.metricsUrl;
const runId = Number(root.dataset.run);
const notice = root.querySelector("[data-live-notice]");
const extras = [...root.querySelectorAll("[data-with]")];
const latest = [...new Set([...root.querySelectorAll("[data-latest]")].map((cell) => cell.dataset.latest))];
let cursor = "";
// Questions go one after the other, so that a cursor never runs ahead of what a chart holds.
let turn = Promise.resolve();
const charts = new ChartSet(root, "canvas[data-chart]", { runId, onNeed: (names) => inTurn(() => read(names)) });

function inTurn(ask) {
  turn = turn.then(ask, ask);
  return turn;
}

/** Name what is not the run's own curve after where it comes from; it is drawn faintly. */
function named(one) {
  if (one.superseded) return { ...one, label: `${one.name}, overtaken in attempt ${one.attempt}`, faint: true };
  if (one.run_id) return { ...one, label: `${one.name}, run ${one.run_id}`, faint: true };
  return one;
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
    if (last < 0 || one.superseded || one.run_id) continue;
    const value = one.last?.length ? one.last[last] : one.value[last];
    for (const cell of root.querySelectorAll(`[data-latest="${CSS.escape(one.name)}"]`)) cell.textContent = shortNumber(value);
    for (const cell of root.querySelectorAll(`[data-latest-step="${CSS.escape(one.name)}"]`)) cell.textContent = one.step[last];
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
    root.querySelector("[data-progress-text]").textContent = `${bar.dataset.unit || "step"} ${answer.step} of ${answer.total_steps}`;
  }
}

function showNotice(text) {
  notice.textContent = text;
  notice.hidden = !text;
}

function trouble(error) {
  showNotice(`The curves could not be read: ${error.message.replace(/\.$/, "")}.`);
  throw error;
}

/** Say anew why a queued run waits, as the queue moves on. */
async function showWaiting() {
  const place = root.querySelector("[data-waiting]");
  if (place) place.textContent = (await callApi(root.dataset.runUrl)).waiting;
}

function piecesOf(names) {
  const pieces = [];
  for (let at = 0; at < names.length; at += NAMES_AT_ONCE) pieces.push(names.slice(at, at + NAMES_AT_ONCE));
  return pieces;
}

/** Read all of some metrics, for charts that came into view. */
async function read(names) {
  for (const piece of piecesOf(names)) {
    const query = new URLSearchParams({ names: [...piece, ...AXIS_METRICS].join(",") });
    for (const box of extras) if (box.checked) query.set(box.dataset.with, "true");
    const answer = await callApi(`${url}?${query}`).catch(trouble);
    // An older cursor stays: it tells some points again, a newer one could leave some out.
    cursor ||= answer.cursor;
    charts.axesKnown([runId]);
    charts.show(answer.series.map(named), { fresh: true, names: piece });
  }
}

/** Read what came since; gives the state of the run. */
async function look() {
  const names = [...new Set([...charts.needed, ...latest])];
  let answer;
  let next = "";
  for (const piece of piecesOf(names.length ? names : ["train/loss"])) {
    const query = new URLSearchParams({ names: [...piece, ...AXIS_METRICS].join(",") });
    if (cursor) query.set("after", cursor);
    else query.set("max_points", "1");
    answer = await callApi(`${url}?${query}`);
    next ||= answer.cursor;
    if (!cursor) continue;
    showLatest(answer.series);
    if (answer.reset) charts.renew();
    else charts.show(answer.series.map(named), { names: piece });
  }
  cursor = next;
  showState(answer);
  return answer;
}

/** Look once; false: there is nothing more to come. */
async function watch() {
  const answer = await inTurn(look);
  if (ENDED.has(answer.status)) {
    // The end brings results, checkpoints and samples that only a new page shows.
    if (root.dataset.alive === "true") window.location.reload();
    return false;
  }
  if (root.dataset.alive === "false") return false;
  if (root.dataset.status === "queued") {
    // Its start brings an attempt, a log and other things to do.
    if (answer.status !== "queued") {
      window.location.reload();
      return false;
    }
    await showWaiting();
  }
  return true;
}

for (const box of extras) box.addEventListener("change", () => charts.renew());

if (root.dataset.alive === "true") follow(watch, showNotice);
