/* The log of a run's page: follows it by cursor, keeps its end, rests while nobody looks. */
import { AnsiReader } from "./ansi.js";
import { callApi } from "./http.js";

const POLL_MS = 1500;
const SLOWEST_MS = 60000;
const MOST_LINES = 5000;
const NEAR_END_PX = 40;

const root = document.querySelector("[data-log]");
const view = root.querySelector("[data-log-text]");
const choice = root.querySelector("[data-log-attempt]");
const followBox = root.querySelector("[data-log-follow]");
const note = root.querySelector("[data-log-note]");
const download = root.querySelector("[data-log-download]");
const numbered = root.querySelector("[data-log-numbered]");
const reader = new AnsiReader();

let cursor = null;
let line = null;
let ended = false;
let failures = 0;
let round = 0;
let timer = 0;

function newest() {
  return choice.selectedIndex === 0;
}

function newLine() {
  line = document.createElement("span");
  line.className = "log-line";
  view.append(line);
}

function add(text, classes) {
  if (!text) return;
  const span = document.createElement("span");
  if (classes) span.className = classes;
  span.textContent = text;
  line.append(span);
}

/** Write a piece; a carriage return begins the line again, as progress bars want it. */
function write(piece) {
  for (const [text, classes] of reader.read(piece.replaceAll("\r\n", "\n"))) {
    for (const part of text.split(/([\r\n])/)) {
      if (part === "\n") {
        line.append("\n");
        newLine();
      } else if (part === "\r") line.dataset.again = "true";
      else if (part) {
        if (line.dataset.again) {
          line.replaceChildren();
          delete line.dataset.again;
        }
        add(part, classes);
      }
    }
  }
  while (view.childElementCount > MOST_LINES) view.firstElementChild.remove();
}

function clear() {
  reader.reset();
  view.replaceChildren();
  newLine();
}

function atEnd() {
  return view.scrollHeight - view.scrollTop - view.clientHeight < NEAR_END_PX;
}

async function look() {
  const query = new URLSearchParams({ attempt: choice.value });
  if (cursor !== null) query.set("after", cursor);
  const asked = round;
  const answer = await callApi(`${root.dataset.logUrl}?${query}`);
  if (asked !== round) return false;
  if (cursor === null) {
    clear();
    note.textContent = answer.offset > 0 ? "Only its end is shown; the download holds what is kept." : "";
  } else if (answer.skipped > 0) note.textContent = "Some lines were rotated away before they could be shown.";
  cursor = answer.cursor;
  const stick = followBox.checked;
  write(answer.text);
  if (!view.textContent.trim()) view.dataset.empty = "true";
  else delete view.dataset.empty;
  if (stick) view.scrollTop = view.scrollHeight;
  return answer.cursor < answer.size && answer.text.length > 0;
}

async function poll() {
  clearTimeout(timer);
  let wait = POLL_MS;
  try {
    const more = document.hidden && cursor !== null ? false : await look();
    failures = 0;
    if (more) wait = 0;
    else if (ended || !newest()) return;
    else ended = root.dataset.logAlive === "false" || badgeEnded();
  } catch (error) {
    failures += 1;
    if (error.status === 401 || error.status === 403) {
      note.textContent = "You are signed out. Load the page again to sign in.";
      return;
    }
    wait = Math.min(SLOWEST_MS, POLL_MS * 2 ** failures);
    note.textContent = `The log could not be read (${error.message}). Trying again in ${Math.round(wait / 1000)} s.`;
  }
  timer = setTimeout(poll, wait);
}

/** Tell whether the page's badge says that the run has ended; one more look then brings the last lines. */
function badgeEnded() {
  const badge = document.querySelector("[data-status-badge]");
  return ["stopped", "completed", "failed", "lost"].includes(badge?.textContent);
}

function begin() {
  round += 1;
  cursor = null;
  ended = false;
  note.textContent = "";
  download.href = choice.selectedOptions[0].dataset.download;
  if (numbered) numbered.href = `?attempt=${choice.value}&end=1`;
  poll();
}

choice.addEventListener("change", begin);
followBox.addEventListener("change", () => {
  if (followBox.checked) view.scrollTop = view.scrollHeight;
});
view.addEventListener("wheel", () => setTimeout(() => (followBox.checked = atEnd()), 50), { passive: true });
view.addEventListener("keyup", () => (followBox.checked = atEnd()));
document.addEventListener("visibilitychange", () => {
  if (!document.hidden && !ended) poll();
});
begin();
