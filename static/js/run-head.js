/* The head of a run's page: how long it still takes, the tab that is shown in sight, and old addresses. */

const MEASURE_S = 20;

const tabs = document.querySelector("[data-run-tabs]");
const box = document.querySelector("[data-total-steps]");

/** Sections of the one long page that there was: their fragments lead to the tabs that hold them now. */
const MOVED = { log: "logs", events: "attempts", lineage: "overview", engine: "system", reproduce: "recipe" };

function followFragment() {
  const wanted = window.location.hash.slice(1);
  if (!wanted || document.getElementById(wanted)) return;
  const link = tabs.querySelector(`[data-tab="${CSS.escape(MOVED[wanted] ?? wanted)}"]`);
  if (link && !link.hasAttribute("aria-current")) window.location.replace(link.href);
}

function showCurrentTab() {
  const current = tabs.querySelector("[aria-current]");
  if (!current) return;
  // Not scrollIntoView: that would move the page as well.
  tabs.scrollLeft = current.offsetLeft - tabs.offsetLeft - (tabs.clientWidth - current.offsetWidth) / 2;
}

function timeInWords(seconds) {
  const minutes = Math.round(seconds / 60);
  if (minutes < 1) return "less than a minute left";
  const hours = Math.floor(minutes / 60);
  if (!hours) return `about ${minutes} min left`;
  return `about ${hours} h ${String(minutes % 60).padStart(2, "0")} min left`;
}

function paceInWords(seconds) {
  if (seconds < 1e-3) return `${Number((seconds * 1e6).toPrecision(3))} µs`;
  if (seconds < 1) return `${Number((seconds * 1e3).toPrecision(3))} ms`;
  return `${Number(seconds.toPrecision(3))} s`;
}

/** Tell the pace from what this page saw, once that is long enough; until then from what the site knew. */
class Pace {
  constructor(known) {
    this.known = known;
    this.seen = [];
  }

  add(step, now) {
    this.seen.push([step, now]);
    while (this.seen.length > 2 && now - this.seen[1][1] > MEASURE_S) this.seen.shift();
  }

  get seconds() {
    const [first, last] = [this.seen[0], this.seen.at(-1)];
    if (first && last[0] > first[0] && last[1] - first[1] >= MEASURE_S / 2) return (last[1] - first[1]) / (last[0] - first[0]);
    return this.known;
  }
}

function followProgress() {
  const total = Number(box.dataset.totalSteps);
  const bar = box.querySelector("[data-progress]");
  const words = box.querySelector("[data-progress-text]");
  const pace = new Pace(Number(box.dataset.stepSeconds) || null);
  const show = () => {
    const step = bar.value;
    box.querySelector("[data-progress-percent]").textContent = `${Math.min(100, Math.round((100 * step) / total))} %`;
    pace.add(step, performance.now() / 1000);
    const status = document.querySelector("[data-status-badge]").textContent.trim();
    const left = box.querySelector("[data-time-left]");
    if (status !== "running" && status !== "starting") left.textContent = "";
    else if (pace.seconds) left.textContent = `${timeInWords((total - step) * pace.seconds)} at ${paceInWords(pace.seconds)} a ${bar.dataset.unit || "step"}`;
  };
  new MutationObserver(show).observe(words, { childList: true, characterData: true, subtree: true });
}

function spanInWords(seconds) {
  const minutes = Math.floor(seconds / 60);
  const two = (number) => String(number).padStart(2, "0");
  if (minutes >= 60) return `${Math.floor(minutes / 60)} h ${two(minutes % 60)} min`;
  return minutes ? `${minutes} min ${two(Math.floor(seconds % 60))} s` : `${Math.floor(seconds)} s`;
}

/** Count on from the site's clock, which need not be that of this machine. */
function followDuration(place) {
  const before = Number(place.dataset.now) - Number(place.dataset.runningSince);
  const opened = performance.now();
  const status = document.querySelector("[data-status-badge]");
  const timer = setInterval(() => {
    if (!["starting", "running", "stopping"].includes(status.textContent.trim())) clearInterval(timer);
    else if (!document.hidden) place.textContent = spanInWords(before + (performance.now() - opened) / 1000);
  }, 1000);
}

const duration = document.querySelector("[data-running-since]");
if (duration) followDuration(duration);
const lastLines = document.querySelector("[data-last-lines]");
if (lastLines) lastLines.scrollTop = lastLines.scrollHeight;
if (tabs) {
  followFragment();
  showCurrentTab();
}
if (box) followProgress();
