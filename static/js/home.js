/* The first page, live: one small poll moves the progress, and what else changed is drawn anew. */
import { callApi } from "./http.js";

const POLL_MS = 2000;
// Nothing runs: something may still begin.
const IDLE_MS = 10000;
const SLOWEST_MS = 30000;
const root = document.querySelector("[data-home]");
const notice = document.querySelector("[data-home-notice]");
let failures = 0;
let idle = false;

function put(row, what, text) {
  const place = row.querySelector(`[data-${what}]`);
  if (place && place.textContent !== text) place.textContent = text;
}

function show(one) {
  const row = root.querySelector(`[data-running="${one.run_id}"]`);
  if (!row) return;
  const badge = row.querySelector("[data-status]");
  badge.textContent = one.status;
  badge.className = `badge badge-${one.status}`;
  put(row, "phase", one.phase);
  put(row, "step", String(one.step));
  put(row, "left", one.left);
  const bar = row.querySelector("progress");
  if (bar) bar.value = one.step;
}

/** Draw the page's parts anew, and leave the focus where it was. */
async function redraw() {
  const answer = await fetch(window.location.pathname, { credentials: "same-origin" });
  if (!answer.ok || answer.redirected) throw new Error(`Error ${answer.status}`);
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
  const part = fresh.querySelector("[data-home]");
  if (!part) throw new Error("no such page");
  const focused = root.contains(document.activeElement) ? document.activeElement.getAttribute("href") : null;
  root.replaceChildren(...part.childNodes);
  root.dataset.mark = part.dataset.mark;
  document.querySelector("[data-home-summary]").textContent = fresh.querySelector("[data-home-summary]").textContent;
  if (focused) root.querySelector(`[href="${CSS.escape(focused)}"]`)?.focus();
}

async function look() {
  const now = await callApi(root.dataset.homeUrl);
  if (now.mark === root.dataset.mark) now.running.forEach(show);
  else await redraw();
  idle = !now.running.length && !now.waiting;
}

async function poll() {
  if (!document.hidden) {
    try {
      await look();
      failures = 0;
      notice.hidden = true;
    } catch (error) {
      failures += 1;
      notice.textContent =
        error.status === 401 || error.status === 403
          ? "You are no longer signed in, so this page stands still. Load it again."
          : "The site does not answer; what stands here may be old. It is asked again by itself.";
      notice.hidden = failures < 2;
    }
  }
  setTimeout(poll, Math.min(SLOWEST_MS, (idle ? IDLE_MS : POLL_MS) * 2 ** Math.min(failures, 4)));
}

if (root) {
  setTimeout(poll, POLL_MS);
  document.addEventListener("visibilitychange", () => !document.hidden && look().catch(() => {}));
}
