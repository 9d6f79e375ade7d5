/* The charts of a page: one per canvas, each showing the series that it names, all in one view. */
import { AXES, AXIS_METRICS, Positions, interpolate } from "./chart-axes.js";
import { coarseCharts, readDetail } from "./chart-detail.js";
import { appendTo, copySeries, keyOf, metricOf } from "./chart-series.js";
import { Settings } from "./chart-settings.js";
import { readMarks, readSeries } from "./chart-source.js";
import { chartTools } from "./chart-tools.js";
import { lineChart } from "./charts.js";

const DETAIL_WAIT_MS = 150;
const MARKS_OLD_MS = 30_000;
/** More runs than this and their marks hide the curves. */
const MARKED_RUNS = 4;
/** A series that has grown beyond this is read anew, in groups. */
const MOST_POINTS = 4000;

export class ChartSet {
  /** Draw the charts of `root`, each once it is seen.

      `runId`: whose series those are that name no run. `onNeed(names)`: asked, with a promise for an answer, for metrics
      of charts that came into view; without it the caller passes everything by itself. `beside`: charts beside the main ones of the page, without the
      bar and the address. */
  constructor(root = document, selector = "canvas[data-chart]", { runId, onNeed, beside = false } = {}) {
    Object.assign(this, { runId, onNeed });
    this.settings = new Settings({ kept: !beside });
    this.positions = new Positions();
    this.axisSeries = new Map();
    this.axisKnown = new Set();
    this.marks = new Map();
    this.marksAt = 0;
    this.axis = this.settings.axis;
    const canvases = [...root.querySelectorAll(selector)];
    if (!beside && canvases.length) this.tools = this.buildTools(root, canvases[0]);
    this.charts = canvases.map((canvas) => this.entry(canvas));
    this.watch();
    this.refresh();
  }

  buildTools(root, first) {
    let bar = root.querySelector("[data-chart-tools]");
    if (!bar) {
      bar = document.createElement("div");
      (first.closest("section, .grid-2") ?? first.closest(".chart-box")).before(bar);
    }
    return chartTools(bar, this.settings, { change: (changes) => this.change(changes), reset: () => this.change({ zoom: null }) });
  }

  entry(canvas) {
    const names = canvas.dataset.names.split(",");
    const chart = lineChart(canvas, {
      title: canvas.dataset.title,
      unit: canvas.dataset.unit,
      positions: this.positions,
      view: { ...this.sharedView(), log: this.settings.log.has(names[0]) },
      asleep: true,
      awaits: true,
      onZoom: (zoom) => this.change({ zoom }),
      onLog: (on) => this.changeLog(names[0], on),
    });
    return { canvas, names, chart, visible: false, loaded: false };
  }

  sharedView() {
    const { smooth, clip, marks, zoom, axis } = this.settings;
    return { axis: this.axis, smooth, clip, marks, zoom: axis === this.axis ? zoom : null };
  }

  watch() {
    const seen = new IntersectionObserver(
      (changes) => {
        for (const { target, isIntersecting } of changes) {
          const entry = this.charts.find(({ canvas }) => canvas === target);
          entry.visible = isIntersecting;
          if (isIntersecting) entry.chart.wake();
          // What comes by cursor comes for charts in view alone, so one that was out of view is read anew.
          else if (this.onNeed) entry.loaded = false;
        }
        this.ask();
        this.wantDetail();
      },
      { rootMargin: "300px 0px" },
    );
    for (const { canvas } of this.charts) seen.observe(canvas);
    window.addEventListener("beforeprint", () => this.charts.forEach(({ chart }) => chart.wake()));
  }

  /** The metrics of the charts in view. */
  get needed() {
    return [...new Set(this.charts.filter((entry) => entry.visible).flatMap((entry) => entry.names))];
  }

  /** Ask for what charts in view lack. */
  ask() {
    if (!this.onNeed) return;
    const lacking = this.charts.filter((entry) => entry.visible && !entry.loaded);
    if (!lacking.length) return;
    for (const entry of lacking) entry.loaded = true;
    const names = [...new Set(lacking.flatMap((entry) => entry.names))];
    this.onNeed(names).catch((error) => {
      // Asked again with the next look, or when they come back into view.
      for (const entry of lacking) entry.loaded = false;
      this.failed(error.message, lacking);
    });
  }

  /** Say in charts that have no points yet why these did not come. */
  failed(problem, entries = this.charts) {
    for (const { chart } of entries) chart.setUnread(problem);
  }

  /** Read everything anew, each chart once it is in view. */
  renew() {
    for (const entry of this.charts) entry.loaded = false;
    this.ask();
  }

  /** Pass series to the charts that show them.

      `fresh`: they are everything of what they show, otherwise they are appended. `names`: only charts of these metrics
      are meant. `metric` gives the metric of a series that has another name. */
  show(series, { fresh = false, names = null, metric = metricOf } = {}) {
    const all = series.map((one) => ({ ...one, run_id: one.run_id ?? this.runId, metric: metric(one) }));
    this.learn(all, fresh);
    for (const entry of this.charts) {
      if (names && !entry.names.some((name) => names.includes(name))) continue;
      const own = entry.names.flatMap((name) => all.filter((one) => one.metric === name));
      if (fresh) entry.chart.replace(own);
      else if (own.length) entry.chart.update(own);
      if (entry.chart.series.some((one) => one.step.length > MOST_POINTS)) entry.loaded = false;
    }
    this.refresh();
    this.lookAtRuns(all, fresh);
    this.wantDetail();
    this.ask();
  }

  learn(all, fresh) {
    const places = (one) => AXIS_METRICS.includes(one.metric) && !one.superseded;
    for (const one of all.filter(places)) {
      const key = `${one.run_id}|${one.metric}`;
      const held = this.axisSeries.get(key);
      if (held && !fresh) appendTo(held, one);
      else this.axisSeries.set(key, copySeries({ ...one, name: one.metric }));
    }
    this.positions.learn(all.filter((one) => !places(one)));
    this.positions.learn(this.axisSeries.values());
  }

  /** What was asked of the API for these runs holds their place on every axis, where they have one. */
  axesKnown(ids) {
    for (const id of ids) this.axisKnown.add(id);
  }

  get runs() {
    const own = this.charts.flatMap(({ chart }) => chart.series.filter((one) => !one.faint && one.run_id !== undefined));
    return [...new Set(own.map((one) => one.run_id))];
  }

  async lookAtRuns(all, fresh) {
    const unknown = this.runs.filter((id) => !this.axisKnown.has(id));
    this.axesKnown(unknown);
    const graded = all.some((one) => one.metric.startsWith("eval/"));
    const old = !this.marksAt || unknown.length || fresh || graded || Date.now() - this.marksAt > MARKS_OLD_MS;
    try {
      if (unknown.length) this.learn(await readSeries(unknown, { names: AXIS_METRICS }), true);
      if (unknown.length) this.redraw({});
      if (old) await this.readMarks();
    } catch (error) {
      // The curves stand without them; what follows a run says that the site does not answer.
      this.marksAt = 0;
      if (error.status === undefined) return;
      for (const { chart } of this.charts) chart.setLoading(chart.loading, error.message);
    }
  }

  async readMarks() {
    const { runs } = this;
    // Of many runs no marks are drawn; when they started matters to one axis alone.
    if (runs.length > MARKED_RUNS && this.axis !== "relative") return;
    this.marksAt = Date.now();
    const answers = await Promise.all(runs.map((id) => readMarks(id)));
    for (const answer of answers) this.positions.started(answer.run_id, answer.started_at);
    this.marks = new Map(runs.length > MARKED_RUNS ? [] : answers.map((answer) => [String(answer.run_id), answer]));
    for (const { chart } of this.charts) chart.setMarks(this.marks);
  }

  changeLog(name, on) {
    const log = new Set(this.settings.log);
    if (on) log.add(name);
    else log.delete(name);
    this.settings.set({ log });
    for (const { names, chart } of this.charts) if (names[0] === name) chart.setView({ log: on });
  }

  /** Change how all charts are shown. */
  change(changes) {
    const all = "axis" in changes ? { ...changes, zoom: this.zoomOn(changes.axis) } : changes;
    this.settings.set(all);
    if ("axis" in all) this.axis = all.axis;
    this.redraw(all);
    this.refresh();
    this.wantDetail();
    if (all.axis === "relative" && !this.marksAt) this.lookAtRuns([], true);
  }

  /** Draw once for all changes of a frame: a slider gives many. */
  redraw(changes) {
    this.pending = { ...this.pending, ...changes };
    this.frame ??= requestAnimationFrame(() => {
      const { pending } = this;
      this.frame = this.pending = undefined;
      for (const { chart } of this.charts) chart.setView(pending);
    });
  }

  /** The same stretch of the run on another axis; several runs have no such one. */
  zoomOn(axis) {
    const { zoom } = this.settings;
    const first = this.charts.flatMap(({ chart }) => chart.series).find((one) => one.step.length > 1 && !one.faint);
    if (!zoom || !first || this.runs.length > 1) return null;
    const [before, after] = [this.axis, axis].map((name) => this.positions.of(name, first));
    const moved = zoom.map((place) => interpolate(before, after, Math.min(before.at(-1), Math.max(before[0], place))));
    return moved.every(Number.isFinite) && moved[1] > moved[0] ? moved : null;
  }

  /** Bring the bar up to date, and leave an axis that these runs do not have. */
  refresh() {
    const all = this.charts.flatMap(({ chart }) => chart.series);
    const known = this.runs.every((id) => this.axisKnown.has(id));
    const reasons = Object.fromEntries(Object.keys(AXES).map((axis) => [axis, known ? this.positions.reasonAgainst(axis, all) : ""]));
    const axis = reasons[this.settings.axis] ? "step" : this.settings.axis;
    if (axis !== this.axis) {
      this.axis = axis;
      const { zoom } = this.sharedView();
      this.redraw({ axis, zoom });
    }
    this.tools?.refresh({ reasons, zoomed: Boolean(this.sharedView().zoom), shown: axis, marked: this.runs.length <= MARKED_RUNS });
  }

  /** Read finer points for the charts in view, a moment after the last change. */
  wantDetail() {
    clearTimeout(this.detailTimer);
    if (!this.settings.zoom) {
      this.reading?.abort();
      return;
    }
    this.detailTimer = setTimeout(() => this.detail(), DETAIL_WAIT_MS);
  }

  async detail() {
    const charts = coarseCharts(this.charts.filter((entry) => entry.visible).map(({ chart }) => chart));
    if (!charts.length) return;
    this.reading?.abort();
    this.reading = new AbortController();
    const { signal } = this.reading;
    for (const chart of charts) chart.setLoading(true);
    try {
      await readDetail(charts, signal);
    } catch (error) {
      if (!signal.aborted) for (const chart of charts) chart.setLoading(false, error.message);
    }
  }
}
