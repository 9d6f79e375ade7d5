/* The list of runs: choose many, keep the states current, and announce new runs without moving rows. */
import { callApi } from "./http.js";
import { formatLeft, formatNumber, formatShare, formatSpan } from "./run-format.js";

const POLL_MS = 2000;
const SLOWEST_MS = 60_000;
const table = document.querySelector("[data-run-list]");
const search = document.querySelector("#q");

/* --- choosing ------------------------------------------------------------------------------- */

class Choice {
  constructor(form) {
    this.form = form;
    this.boxes = [...form.querySelectorAll("[data-choose]")];
    this.page = form.querySelector("[data-choose-page]");
    this.all = form.querySelector("[data-choose-all]");
    this.last = null;
    this.page.hidden = false;
    this.page.addEventListener("change", () => {
      this.boxes.forEach((box) => (box.checked = this.page.checked));
      this.show();
    });
    form.addEventListener("click", (event) => event.target.matches("[data-choose]") && this.range(event));
    form.addEventListener("change", () => this.show());
    this.show();
  }

  /** With shift: everything between the box before and this one becomes as this one is. */
  range(event) {
    const here = this.boxes.indexOf(event.target);
    if (event.shiftKey && this.last !== null) {
      const [from, to] = [Math.min(here, this.last), Math.max(here, this.last)];
      for (const box of this.boxes.slice(from, to + 1)) box.checked = event.target.checked;
    }
    this.last = here;
  }

  show() {
    const count = this.boxes.filter((box) => box.checked).length;
    const all = this.all?.checked ?? false;
    this.page.checked = count === this.boxes.length;
    this.page.indeterminate = count > 0 && count < this.boxes.length;
    this.form.querySelector("[data-compare-button]").disabled = count < 2 || all;
    for (const line of this.form.querySelectorAll("[data-for-chosen]")) line.hidden = !count && !all;
    const words = count === 1 ? "1 run chosen" : `${count} runs chosen`;
    this.form.querySelector("[data-chosen-count]").textContent = count ? words : "No run chosen";
  }
}

/* --- keys: / searches, j and k go from run to run, x or space chooses, o opens ----------------- */

function listenToKeys() {
  let here = -1;
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target.closest("input:not([type='checkbox']), textarea, select")) return;
    if (event.key === "/") {
      event.preventDefault();
      search.focus();
      search.select();
      return;
    }
    const rows = [...(table?.querySelectorAll("tr[data-run-id]") ?? [])];
    if (event.key === "j" || event.key === "k") {
      rows[here]?.removeAttribute("data-here");
      here = Math.max(0, Math.min(rows.length - 1, here + (event.key === "j" ? 1 : -1)));
      rows[here]?.setAttribute("data-here", "");
      rows[here]?.querySelector("[data-choose]")?.focus();
      rows[here]?.scrollIntoView({ block: "nearest" });
    } else if (event.key === "x" && rows[here]) {
      rows[here].querySelector("[data-choose]").click();
    } else if (event.key === "o" && rows[here]) {
      rows[here].querySelector("a")?.click();
    }
  });
}

/* --- states ---------------------------------------------------------------------------------- */

function setText(cell, text) {
  if (cell && cell.textContent !== text) cell.textContent = text;
}

function showState(row, run) {
  const badge = row.querySelector("[data-status] .badge");
  if (badge && badge.textContent !== run.status) {
    badge.textContent = run.status;
    badge.className = `badge badge-${run.status}`;
  }
  const waiting = row.querySelector("[data-waiting]");
  if (waiting) {
    setText(waiting, run.waiting);
    waiting.hidden = !run.waiting;
  }
  const bar = row.querySelector("[data-progress] progress");
  if (bar) {
    bar.value = run.step;
    setText(row.querySelector("[data-steps]"), `${run.step} / ${run.total_steps}`);
    const left = row.querySelector("[data-eta]");
    left.hidden = run.eta_seconds === null;
    setText(left, run.eta_seconds === null ? "" : ` · ${formatLeft(run.eta_seconds)}`);
  }
  // None where the newest loss was no number, and before there is any.
  setText(row.querySelector("[data-loss]"), run.last_loss === null ? "–" : formatNumber(run.last_loss));
  if (run.tokens_per_second !== null) {
    setText(row.querySelector("[data-speed]"), Math.round(run.tokens_per_second).toLocaleString("en"));
  }
  if (run.duration_seconds !== null) setText(row.querySelector("[data-duration]"), formatSpan(run.duration_seconds));
  if (run.accuracy !== null) showAccuracy(row.querySelector("[data-accuracy]"), run);
  row.dataset.alive = run.alive ? "true" : "false";
}

function showAccuracy(cell, run) {
  const range = run.interval.map(formatShare).join(" – ");
  const note = `${range}, n\u00a0=\u00a0${run.evaluation_n}, step\u00a0${run.evaluation_step}`;
  if (!cell || cell.querySelector(".evaluation")?.textContent === note) return;
  const about = document.createElement("span");
  about.className = "muted evaluation";
  about.textContent = note;
  cell.replaceChildren(`${formatShare(run.accuracy)} `, about);
}

function announce(count) {
  const line = document.querySelector("[data-new-runs]");
  if (!line || !count) return;
  const words = count === 1 ? "1 new run" : `${count >= 100 ? "100 or more" : count} new runs`;
  setText(line.querySelector("[data-new-count]"), `${words}: show`);
  line.hidden = false;
}

class Poll {
  constructor() {
    this.rows = new Map([...table.querySelectorAll("tr[data-run-id]")].map((row) => [Number(row.dataset.runId), row]));
    this.cursor = "";
    this.wait = POLL_MS;
    document.addEventListener("visibilitychange", () => {
      if (document.hidden) return;
      this.wait = POLL_MS;
      clearTimeout(this.timer);
      this.ask();
    });
    this.timer = setTimeout(() => this.ask(), POLL_MS);
  }

  async ask() {
    if (!document.hidden) await this.once();
    // Nobody looks, or nothing changes: ask less and less often.
    const moving = [...this.rows.values()].some((row) => row.dataset.alive === "true");
    this.wait = document.hidden || this.failed || !moving ? Math.min(this.wait * 2, SLOWEST_MS) : POLL_MS;
    this.timer = setTimeout(() => this.ask(), this.wait);
  }

  async once() {
    const asked = new URLSearchParams({ ids: [...this.rows.keys()].join(","), after: this.cursor });
    if (table.dataset.newest) {
      asked.set("newer_than", table.dataset.newest);
      asked.set("q", table.dataset.query);
    }
    try {
      const answer = await callApi(`/api/training/runs/states?${asked}`);
      this.cursor = answer.cursor;
      for (const run of answer.runs) showState(this.rows.get(run.id), run);
      announce(answer.new);
      this.failed = false;
    } catch {
      // The next question may find the site again.
      this.failed = true;
    }
  }
}

if (search) listenToKeys();
if (table) {
  new Choice(document.querySelector("#runs-form"));
  new Poll();
}
