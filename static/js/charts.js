/* Line charts of metric series over Chart.js: exact points, honest about what they leave out.

   Where a point stands for several (count > 1) a band shows their least and greatest value, so that a spike is never
   hidden; non-finite values are marked on the axis; a note says how much is shown; a table holds every number. */
import "../vendor/chartjs/chart.umd.min.js";
import { Positions } from "./chart-axes.js";
import { csvOf, fileName, pictureOf, save } from "./chart-export.js";
import { chartFrame, smallButton, element } from "./chart-frame.js";
import { walkWithKeys } from "./chart-keys.js";
import { fillLegend } from "./chart-legend.js";
import { marksPlugin, marksText, placeMarks } from "./chart-markers.js";
import { noteText } from "./chart-note.js";
import { optionsOf } from "./chart-options.js";
import { colourOf, themeColours } from "./chart-palette.js";
import { appendTo, copySeries, keyOf, metricOf, selectFrom } from "./chart-series.js";
import { datasetsOf, shapesOf } from "./chart-shapes.js";
import { fillTable } from "./chart-table.js";
import { dragToZoom, fitRange } from "./chart-zoom.js";

export { colourOf };

const PLAIN_VIEW = { axis: "step", smooth: 0, clip: 0, log: false, marks: new Set(["broken"]), zoom: null };

class LineChart {
  constructor(canvas, { title = "", unit = "", series = [], logarithmic = false, positions, view, asleep = false, awaits = false, onZoom, onLog } = {}) {
    this.canvas = canvas;
    this.title = title;
    this.unit = unit;
    this.shared = Boolean(positions);
    this.positions = positions ?? new Positions();
    this.view = { ...PLAIN_VIEW, log: logarithmic, ...view };
    this.series = series.map(copySeries);
    this.detail = null;
    this.marks = new Map();
    this.hidden = new Set();
    this.loading = false;
    this.problem = "";
    // Until its series came, nobody knows that there are no points.
    this.unread = awaits;
    this.onZoom = onZoom ?? ((zoom) => this.setView({ zoom }));
    this.onLog = onLog ?? ((log) => this.setView({ log }));
    this.frame = chartFrame(canvas, { title, unit });
    this.frame.download.details.hidden = false;
    this.redraw = () => this.draw();
    this.learn();
    this.listen();
    if (!asleep) this.wake();
    this.draw();
  }

  listen() {
    const { frame, canvas } = this;
    const getChart = () => this.chart;
    const zoom = (range, panned) => this.zoomTo(range, panned);
    const reset = () => this.onZoom(null);
    frame.log.addEventListener("click", () => this.onLog(!this.view.log));
    frame.reset.addEventListener("click", () => {
      reset();
      canvas.focus();
    });
    frame.details.addEventListener("toggle", () => this.showTable());
    frame.download.details.addEventListener("toggle", () => this.fillDownloads());
    document.addEventListener("themechange", this.redraw);
    // Comes before the event by which Chart.js chooses what to tell.
    canvas.addEventListener("pointermove", (event) => {
      if (this.chart) this.chart.tunix.pointer = event.offsetY;
    });
    dragToZoom(canvas, getChart, { zoom, reset });
    const say = (text) => {
      frame.said.textContent = text;
    };
    walkWithKeys(canvas, getChart, { zoom, reset, say });
  }

  /** Begin to draw; until then only the words around the chart are kept. */
  wake() {
    if (this.chart) return;
    const settings = { type: "line", data: { datasets: [] }, options: { animation: false, responsive: true, maintainAspectRatio: false } };
    this.chart = new globalThis.Chart(this.canvas, { ...settings, plugins: [marksPlugin] });
    this.draw();
  }

  draw() {
    const { frame, view } = this;
    this.drawn = shapesOf(this);
    this.placed = placeMarks(this.drawn.shapes, this);
    const note = noteText(this.drawn, view, this);
    frame.note.textContent = note;
    frame.marks.textContent = marksText(this.placed);
    frame.marks.hidden = !frame.marks.textContent;
    frame.log.setAttribute("aria-pressed", String(view.log));
    frame.reset.hidden = !view.zoom;
    fillLegend(frame.legend, this.drawn.shapes, (key) => this.toggle(key));
    this.canvas.setAttribute("aria-label", `${this.title || "Chart"}. ${note} The table below holds the numbers.`);
    this.showTable();
    if (!this.chart) return;
    globalThis.Chart.defaults.font.family = getComputedStyle(document.body).fontFamily;
    this.chart.data.datasets = this.drawn.shapes.flatMap(datasetsOf);
    const colours = themeColours();
    // Beside the options: those are wrapped by Chart.js, which would be slow and takes functions for settings.
    this.chart.tunix = { placed: this.placed, ...this.drawn, colours, pointer: this.chart.tunix?.pointer };
    this.chart.options = optionsOf({ view, drawn: this.drawn, colours, unit: this.unit });
    this.chart.update("none");
  }

  showTable() {
    if (this.frame.details.open) fillTable(this.frame.holder, this.drawn.shapes, this.title);
  }

  toggle(key) {
    if (!this.hidden.delete(key)) this.hidden.add(key);
    this.draw();
  }

  /** The first and the last place of the data on the axis. */
  get extent() {
    let [low, high] = [Infinity, -Infinity];
    for (const series of this.series) {
      for (const place of this.positions.of(this.view.axis, series)) {
        if (place < low) low = place;
        if (place > high) high = place;
      }
    }
    return [low, high];
  }

  zoomTo(range, panned = false) {
    // There is nothing to pan where everything is shown.
    if (panned && !this.view.zoom) return;
    this.onZoom(fitRange(range, this.extent));
  }

  fillDownloads() {
    const { items } = this.frame.download;
    const runs = [...new Set(this.series.filter((one) => !one.faint).map((one) => one.run_id))];
    const picture = smallButton("Picture (PNG)");
    picture.addEventListener("click", async () => save(await this.picture(), fileName(this.title, runs, "png")));
    const shown = smallButton("What is shown (CSV)");
    shown.addEventListener("click", () => save(new Blob([csvOf(this.drawn.shapes)], { type: "text/csv" }), fileName(this.title, runs, "csv")));
    const all = runs.filter((run) => run !== undefined && run !== null).map((run) => {
      const link = element("a", "button button-small", runs.length > 1 ? `All points of run ${run} (CSV)` : "All points (CSV)");
      const names = new Set(this.series.filter((one) => one.run_id === run && !one.faint).map(metricOf));
      link.href = `/api/training/runs/${run}/metrics?${new URLSearchParams({ names: [...names].join(","), format: "csv" })}`;
      link.download = fileName(this.title, [run], "csv");
      return link;
    });
    items.replaceChildren(picture, shown, ...all);
  }

  /** Give what is drawn as a PNG with title, legend and note. */
  picture() {
    const font = getComputedStyle(document.body).fontFamily;
    const { title, unit } = this;
    return pictureOf(this.canvas, { title, unit, shapes: this.drawn.shapes, note: this.frame.note.textContent, colours: themeColours(), font });
  }

  setView(changes) {
    this.view = { ...this.view, ...changes };
    if ("zoom" in changes || "axis" in changes) {
      this.detail = null;
      this.loading = false;
    }
    this.draw();
  }

  setLogarithmic(on) {
    this.setView({ log: on });
  }

  /** Say that finer points are asked for, or why there are none. */
  setLoading(on, problem = "") {
    this.loading = on;
    this.problem = problem;
    this.draw();
  }

  /** Say why the points that it awaits did not come. */
  setUnread(problem) {
    if (this.unread) this.setLoading(false, problem);
  }

  /** Show finer points while zoomed in, in the place of a whole series': pairs of its key and what is shown. */
  setDetail(pairs) {
    this.detail = new Map(pairs.map(([key, series]) => [key, copySeries(series)]));
    this.setLoading(false);
  }

  /** Mark what happened along the runs: a Map from run to {checkpoints, resumes, evaluations}. */
  setMarks(marks) {
    this.marks = marks;
    this.draw();
  }

  /** Append what came since, matched by run, metric and attempt. */
  update(fresh) {
    this.unread = false;
    for (const one of fresh) {
      const held = this.series.find((series) => keyOf(series) === keyOf(one));
      if (held) appendTo(held, one);
      else this.series.push(copySeries(one));
      const detail = this.detail?.get(keyOf(one));
      if (!detail) continue;
      const [from, to] = this.view.zoom;
      const places = this.positions.of(this.view.axis, one);
      const total = detail.total_points;
      appendTo(detail, { ...selectFrom(one, (index) => places[index] >= from && places[index] <= to), non_finite: one.non_finite });
      detail.total_points = total;
    }
    this.learn();
    this.draw();
  }

  /** Place steps by what this chart holds, where nobody else does. */
  learn() {
    if (!this.shared) this.positions.learn(this.series);
  }

  /** Start afresh with these series. */
  replace(fresh) {
    this.series = fresh.map(copySeries);
    this.detail = null;
    this.problem = "";
    this.unread = false;
    this.learn();
    this.draw();
  }

  destroy() {
    document.removeEventListener("themechange", this.redraw);
    this.chart?.destroy();
  }
}

/** Draw a line chart on a canvas that lies in a `.chart-box`.

    `update(series)` appends what came since, `replace(series)` starts afresh, `setView({axis, smooth, clip, log, marks,
    zoom})` changes how it is shown. Without `onZoom` it zooms by itself, into the points that it has. */
export function lineChart(canvas, options) {
  return new LineChart(canvas, options);
}
