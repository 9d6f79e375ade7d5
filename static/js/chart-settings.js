/* How the charts of a page are shown: kept in its address, so that a view can be shared, and in the browser for the next. */
import { AXES } from "./chart-axes.js";
import { MARKS } from "./chart-markers.js";

const STORED_AS = "tunix-charts";
/** Percent of the shown values that may lie outside a clipped axis at each end. */
export const CLIPS = [0, 1, 5];
const NAMES = ["x", "smooth", "clip", "log", "marks"];
const MOST_SMOOTH = 0.99;

function defaults() {
  return { axis: "step", smooth: 0, clip: 0, log: new Set(), marks: new Set(Object.keys(MARKS)), zoom: null };
}

const listOf = (text) => new Set(text.split(",").filter(Boolean));

/** Read settings from the words of an address; what makes no sense is left at its default. */
export function readSettings(query) {
  const found = defaults();
  if (Object.hasOwn(AXES, query.get("x") ?? "")) found.axis = query.get("x");
  const smooth = Number(query.get("smooth"));
  if (smooth > 0 && smooth <= MOST_SMOOTH) found.smooth = smooth;
  if (CLIPS.includes(Number(query.get("clip")))) found.clip = Number(query.get("clip"));
  if (query.has("log")) found.log = listOf(query.get("log"));
  if (query.has("marks")) found.marks = new Set([...listOf(query.get("marks"))].filter((kind) => Object.hasOwn(MARKS, kind)));
  const [from, to] = (query.get("zoom") ?? "").split("..").map((text) => (text ? Number(text) : NaN));
  if (Number.isFinite(from) && to > from && Number.isFinite(to)) found.zoom = [from, to];
  return found;
}

/** Write settings as words of an address: those that differ from the defaults, and always the axis. */
export function writeSettings(settings, query = new URLSearchParams()) {
  const plain = defaults();
  for (const name of [...NAMES, "zoom"]) query.delete(name);
  query.set("x", settings.axis);
  if (settings.smooth) query.set("smooth", String(settings.smooth));
  if (settings.clip) query.set("clip", String(settings.clip));
  if (settings.log.size) query.set("log", [...settings.log].join(","));
  if (settings.marks.size !== plain.marks.size) query.set("marks", [...settings.marks].join(","));
  if (settings.zoom) query.set("zoom", settings.zoom.map((place) => Number(place.toPrecision(12))).join(".."));
  return query;
}

function stored() {
  try {
    return new URLSearchParams(localStorage.getItem(STORED_AS) ?? "");
  } catch {
    return new URLSearchParams();
  }
}

/** The settings of this page: from its address where that names any, else as the browser last had them.

    Not `kept`: those of charts beside the main ones, which are plain at first and forgotten with the page. */
export class Settings {
  constructor({ kept = true } = {}) {
    this.kept = kept;
    if (!kept) {
      Object.assign(this, defaults());
      return;
    }
    const address = new URLSearchParams(window.location.search);
    const named = [...NAMES, "zoom"].some((name) => address.has(name));
    Object.assign(this, readSettings(named ? address : stored()));
    if (!named) this.zoom = null;
  }

  /** Change some, and keep them. */
  set(changes) {
    Object.assign(this, changes);
    if (!this.kept) return;
    const url = new URL(window.location.href);
    writeSettings(this, url.searchParams);
    window.history.replaceState(window.history.state, "", url);
    try {
      localStorage.setItem(STORED_AS, writeSettings({ ...this, zoom: null }).toString());
    } catch {
      /* Private windows may refuse storage: the choices then hold for this page. */
    }
  }
}
