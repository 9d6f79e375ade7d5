/* The list of runs: choose runs to compare, and keep the state of live ones current. */
import { callApi } from "./http.js";

const POLL_MS = 5000;
const table = document.querySelector("[data-run-list]");

function chosen() {
  return [...document.querySelectorAll("[data-compare]:checked")].map((box) => box.value);
}

function showChoice() {
  document.querySelector("[data-compare-button]").disabled = chosen().length < 2;
}

async function refresh(row) {
  const run = await callApi(`/api/training/runs/${row.dataset.runId}`);
  const badge = row.querySelector("[data-status] .badge");
  badge.textContent = run.status;
  badge.className = `badge badge-${run.status}`;
  const waiting = row.querySelector("[data-waiting]");
  waiting.textContent = run.waiting;
  waiting.hidden = !run.waiting;
  const bar = row.querySelector("[data-progress] progress");
  if (bar) {
    bar.value = run.step;
    row.querySelector("[data-progress] .muted").textContent = `${run.step} / ${run.total_steps}`;
  }
  if (["stopped", "completed", "failed", "lost"].includes(run.status)) row.dataset.alive = "false";
}

async function poll() {
  const rows = [...table.querySelectorAll('tr[data-alive="true"]')];
  if (!rows.length) return;
  if (!document.hidden) await Promise.allSettled(rows.map(refresh));
  setTimeout(poll, POLL_MS);
}

if (table) {
  const form = document.querySelector("#runs-form");
  document.addEventListener("change", (event) => event.target.matches("[data-compare]") && showChoice());
  document.querySelector("[data-compare-button]").addEventListener("click", () => {
    window.location.href = `${form.dataset.compareUrl}?ids=${chosen().join(",")}`;
  });
  showChoice();
  setTimeout(poll, POLL_MS);
}
