/* Line charts of metric series over Chart.js: exact points, honest about what they leave out.

   A series is what the metrics API answers:
     {name, unit, step: [], value: [], min: [], max: [], count: [], total_points, shown, non_finite?}
   Where a point stands for several (count > 1) a band shows their least and greatest value, so that a
   spike is never hidden; non-finite values are marked on the axis; a table holds every number. */
import "../vendor/chartjs/chart.umd.min.js";
import { chartFrame, fillTable, noteText, shortNumber } from "./chart-frame.js";

const SERIES_COLOURS = 6;

/** Resolve a colour variable to what the browser paints: light-dark() needs a used value. */
export function colourOf(variable) {
  const probe = document.createElement("span");
  probe.style.color = `var(${variable})`;
  probe.hidden = true;
  document.body.append(probe);
  const colour = getComputedStyle(probe).color;
  probe.remove();
  return colour;
}

function withAlpha(colour, alpha) {
  const [red, green, blue] = colour.match(/[\d.]+/g) ?? ["128", "128", "128"];
  return `rgba(${red}, ${green}, ${blue}, ${alpha})`;
}

/** Marks steps whose value was NaN or infinite with a cross on the x axis. */
const nonFiniteMarks = {
  id: "nonFiniteMarks",
  afterDatasetsDraw(chart, _arguments, options) {
    const { ctx, chartArea, scales } = chart;
    ctx.save();
    ctx.strokeStyle = options.colour ?? "red";
    ctx.lineWidth = 2;
    for (const step of options.steps ?? []) {
      const x = scales.x.getPixelForValue(step);
      if (x < chartArea.left || x > chartArea.right) continue;
      const y = chartArea.bottom - 6;
      ctx.beginPath();
      ctx.moveTo(x - 4, y - 4);
      ctx.lineTo(x + 4, y + 4);
      ctx.moveTo(x + 4, y - 4);
      ctx.lineTo(x - 4, y + 4);
      ctx.stroke();
    }
    ctx.restore();
  },
};

/** Keep a copy of a series that later points can be appended to. */
function copySeries(series) {
  const copy = { ...series };
  for (const column of ["step", "value", "min", "max", "count", "non_finite"]) copy[column] = [...(series[column] ?? [])];
  return copy;
}

/** Append later points. Points at or after the first new step give way: a resume has overtaken them. */
function appendTo(held, fresh) {
  if (fresh.step.length) {
    const keep = held.step.findIndex((step) => step >= fresh.step[0]);
    for (const column of ["step", "value", "min", "max", "count"]) {
      if (keep >= 0) held[column].length = keep;
      for (const item of fresh[column] ?? []) held[column].push(item);
    }
    held.non_finite = held.non_finite.filter((step) => step < fresh.step[0]);
  }
  held.non_finite = [...new Set([...held.non_finite, ...(fresh.non_finite ?? [])])].sort((a, b) => a - b);
  held.total_points = Math.max(held.total_points ?? 0, fresh.total_points ?? 0, held.step.length);
}

function points(series, column, logarithmic) {
  const hidden = (value) => value === null || value === undefined || (logarithmic && value <= 0);
  return series.step.map((step, index) => {
    const value = (series[column]?.[index] ?? null) === null ? series.value[index] : series[column][index];
    return { x: step, y: hidden(value) ? NaN : value };
  });
}

function datasetsOf(all, logarithmic) {
  const own = all.filter((series) => !series.faint);
  return all.flatMap((series) => {
    // What is not the run's own curve has the colour of the metric that it belongs to, and stays behind it.
    const index = own.findIndex((one) => (series.faint ? one.metric === series.metric : one === series));
    const plain = colourOf(`--series-${(Math.max(index, 0) % SERIES_COLOURS) + 1}`);
    const colour = series.faint ? withAlpha(plain, 0.45) : plain;
    const sparse = series.step.length <= 40;
    const line = {
      label: series.name,
      data: points(series, "value", logarithmic),
      borderColor: colour,
      backgroundColor: colour,
      borderWidth: 1.75,
      borderDash: series.faint ? [2, 3] : index < SERIES_COLOURS ? [] : [6, 3],
      order: series.faint ? 1 : 0,
      pointRadius: sparse ? 2.5 : 0,
      pointHoverRadius: 4,
      tunixSeries: series,
    };
    if (!series.count.some((count) => count > 1)) return [line];
    const edge = { borderWidth: 0, pointRadius: 0, pointHoverRadius: 0, backgroundColor: withAlpha(colour, 0.2), band: true };
    return [
      line,
      { ...edge, label: `${series.name} least`, data: points(series, "min", logarithmic), fill: false },
      { ...edge, label: `${series.name} greatest`, data: points(series, "max", logarithmic), fill: "-1" },
    ];
  });
}

function tooltipLines(item) {
  const series = item.dataset.tunixSeries;
  const index = item.dataIndex;
  const unit = series.unit ? ` ${series.unit}` : "";
  const lines = [`${series.name}: ${series.value[index]}${unit}`];
  if (series.count[index] > 1) {
    lines.push(`least ${series.min[index]}, greatest ${series.max[index]} of ${series.count[index]} points`);
  }
  return lines;
}

function optionsOf(state) {
  const text = colourOf("--text-soft");
  const grid = colourOf("--grid");
  globalThis.Chart.defaults.font.family = getComputedStyle(document.body).fontFamily;
  const axis = { grid: { color: grid, tickLength: 4 }, border: { color: grid } };
  return {
    animation: false,
    parsing: false,
    normalized: true,
    responsive: true,
    maintainAspectRatio: false,
    spanGaps: false,
    interaction: { mode: "nearest", axis: "x", intersect: false },
    scales: {
      x: {
        type: "linear",
        bounds: "data",
        ...axis,
        ticks: { color: text, maxRotation: 0, includeBounds: false, autoSkipPadding: 18, precision: 0, includeBounds: false, callback: (value) => Number(value).toLocaleString("en") },
        title: { display: true, text: "step", color: text },
      },
      y: {
        type: state.logarithmic ? "logarithmic" : "linear",
        ...axis,
        ticks: { color: text, maxTicksLimit: 7, callback: (value) => shortNumber(value) },
      },
    },
    plugins: {
      legend: {
        display: state.series.length > 1,
        align: "start",
        labels: { color: text, boxWidth: 14, boxHeight: 3, filter: (item, data) => !data.datasets[item.datasetIndex].band },
      },
      tooltip: {
        backgroundColor: colourOf("--surface"),
        titleColor: colourOf("--text"),
        bodyColor: colourOf("--text"),
        borderColor: colourOf("--border-strong"),
        borderWidth: 1,
        padding: 10,
        filter: (item) => !item.dataset.band,
        callbacks: { title: (items) => (items.length ? `step ${items[0].parsed.x}` : ""), label: tooltipLines },
      },
      nonFiniteMarks: { steps: state.series.flatMap((series) => series.non_finite), colour: colourOf("--bad") },
    },
  };
}

/** Let the arrow keys walk from point to point, as the pointer does. */
function walkWithKeys(canvas, chart) {
  let at = -1;
  canvas.tabIndex = 0;
  canvas.addEventListener("keydown", (event) => {
    const steps = { ArrowRight: 1, ArrowLeft: -1, PageDown: 10, PageUp: -10 };
    const length = chart.data.datasets[0]?.data.length ?? 0;
    if (!(event.key in steps) || !length) return;
    event.preventDefault();
    at = at < 0 ? length - 1 : Math.min(length - 1, Math.max(0, at + steps[event.key]));
    const active = [{ datasetIndex: 0, index: at }];
    const { x, y } = chart.getDatasetMeta(0).data[at];
    chart.setActiveElements(active);
    chart.tooltip.setActiveElements(active, { x, y });
    chart.draw();
  });
  canvas.addEventListener("blur", () => {
    chart.setActiveElements([]);
    chart.tooltip.setActiveElements([], { x: 0, y: 0 });
    chart.draw();
  });
}

/** Draw a line chart on a canvas that lies in a `.chart-box`.

    Returns {update, replace, setLogarithmic, destroy, chart}: `update(series)` appends what came since
    (matched by name), `replace(series)` starts afresh. */
export function lineChart(canvas, { title = "", unit = "", series = [], logarithmic = false } = {}) {
  const state = { title, unit, logarithmic, series: series.map(copySeries) };
  const frame = chartFrame(canvas, state);
  const chart = new globalThis.Chart(canvas, {
    type: "line",
    data: { datasets: [] },
    options: optionsOf(state),
    plugins: [nonFiniteMarks],
  });

  const draw = () => {
    chart.data.datasets = datasetsOf(state.series, state.logarithmic);
    chart.options = optionsOf(state);
    chart.update("none");
    frame.note.textContent = noteText(state);
    frame.log.setAttribute("aria-pressed", String(state.logarithmic));
    canvas.setAttribute("aria-label", `${title || "Chart"}. ${frame.note.textContent} The table below holds the numbers.`);
    if (frame.details.open) fillTable(frame, state);
  };
  const setLogarithmic = (on) => {
    state.logarithmic = on;
    draw();
  };

  frame.log.addEventListener("click", () => setLogarithmic(!state.logarithmic));
  frame.details.addEventListener("toggle", () => frame.details.open && fillTable(frame, state));
  document.addEventListener("themechange", draw);
  walkWithKeys(canvas, chart);
  draw();

  return {
    chart,
    setLogarithmic,
    update(fresh) {
      for (const one of fresh) {
        const held = state.series.find((series) => series.name === one.name);
        if (held) appendTo(held, one);
        else state.series.push(copySeries(one));
      }
      draw();
    },
    replace(fresh) {
      state.series = fresh.map(copySeries);
      draw();
    },
    destroy() {
      document.removeEventListener("themechange", draw);
      chart.destroy();
    },
  };
}
