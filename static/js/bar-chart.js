/* Histograms over Chart.js: bars of one width, a table of all numbers, and a mark where a bound lies. */
import { colourOf } from "./charts.js";
import { chartFrame } from "./chart-frame.js";
import { shortNumber } from "./chart-ticks.js";

function rangeText({ start, width }, index) {
  const from = start + index * width;
  return width === 1 ? from.toLocaleString("en") : `${from.toLocaleString("en")}–${(from + width - 1).toLocaleString("en")}`;
}

/** Draws a line at a value of the x axis, with its name. */
const boundMark = {
  id: "boundMark",
  afterDatasetsDraw(chart, _arguments, options) {
    if (options.at === undefined || options.at === null) return;
    const { ctx, chartArea, scales } = chart;
    const bars = chart.data.labels.length;
    const place = (options.at - options.start) / options.width;
    if (place < 0 || place > bars) return;
    const x = scales.x.getPixelForValue(0) + (place - 0.5) * ((chartArea.right - chartArea.left) / bars);
    ctx.save();
    ctx.strokeStyle = options.colour;
    ctx.fillStyle = options.colour;
    ctx.setLineDash([5, 4]);
    ctx.beginPath();
    ctx.moveTo(x, chartArea.top);
    ctx.lineTo(x, chartArea.bottom);
    ctx.stroke();
    ctx.textAlign = x > (chartArea.left + chartArea.right) / 2 ? "right" : "left";
    ctx.fillText(options.text, x + (ctx.textAlign === "right" ? -5 : 5), chartArea.top + 10);
    ctx.restore();
  },
};

function fillTable(holder, histogram, unit, counted) {
  const table = document.createElement("table");
  table.className = "data";
  const head = table.createTHead().insertRow();
  for (const name of [unit, counted]) {
    const cell = document.createElement("th");
    cell.className = "number";
    cell.scope = "col";
    cell.textContent = name;
    head.append(cell);
  }
  const body = table.createTBody();
  histogram.counts.forEach((count, index) => {
    const row = body.insertRow();
    for (const text of [rangeText(histogram, index), count.toLocaleString("en")]) {
      const cell = row.insertCell();
      cell.className = "number";
      cell.textContent = text;
    }
  });
  holder.replaceChildren(table);
}

/** Draw a histogram `{start, width, counts}` of what `counted` names on a canvas in a `.chart-box`; `bound` is {at, text}. */
export function barChart(canvas, { title = "", unit = "", note = "", counted = "traces", histogram, bound = null, colour = "--series-1" }) {
  const frame = chartFrame(canvas, { title, unit });
  let logarithmic = false;
  const chart = new globalThis.Chart(canvas, { type: "bar", data: { datasets: [] }, plugins: [boundMark] });

  const draw = () => {
    const text = colourOf("--text-soft");
    const grid = colourOf("--grid");
    const fill = colourOf(colour);
    globalThis.Chart.defaults.font.family = getComputedStyle(document.body).fontFamily;
    chart.data = {
      labels: histogram.counts.map((_, index) => rangeText(histogram, index)),
      datasets: [{ data: histogram.counts, backgroundColor: fill, barPercentage: 1, categoryPercentage: 0.94, minBarLength: 2 }],
    };
    // A bar of nothing stays empty; the least length is for small counts only.
    chart.data.datasets[0].data = histogram.counts.map((count) => count || null);
    chart.options = {
      animation: false,
      responsive: true,
      maintainAspectRatio: false,
      interaction: { mode: "index", intersect: false },
      scales: {
        x: { grid: { display: false }, border: { color: grid }, ticks: { color: text, maxRotation: 0, autoSkipPadding: 14, callback: (_, index) => (histogram.start + index * histogram.width).toLocaleString("en") }, title: { display: true, text: unit, color: text } },
        y: { type: logarithmic ? "logarithmic" : "linear", beginAtZero: true, grid: { color: grid }, border: { color: grid }, ticks: { color: text, maxTicksLimit: 6, callback: (value) => shortNumber(value) } },
      },
      plugins: {
        legend: { display: false },
        tooltip: {
          backgroundColor: colourOf("--surface"),
          titleColor: colourOf("--text"),
          bodyColor: colourOf("--text"),
          borderColor: colourOf("--border-strong"),
          borderWidth: 1,
          displayColors: false,
          callbacks: { title: (items) => (items.length ? `${items[0].label} ${unit}` : ""), label: (item) => `${item.parsed.y.toLocaleString("en")} ${counted}` },
        },
        boundMark: bound ? { ...bound, start: histogram.start, width: histogram.width, colour: colourOf("--bad") } : {},
      },
    };
    chart.update("none");
    frame.log.setAttribute("aria-pressed", String(logarithmic));
    frame.note.textContent = note;
    canvas.setAttribute("aria-label", `${title}. ${note} The table below holds the numbers.`);
  };

  frame.log.addEventListener("click", () => {
    logarithmic = !logarithmic;
    draw();
  });
  frame.details.addEventListener("toggle", () => frame.details.open && fillTable(frame.holder, histogram, unit, counted));
  document.addEventListener("themechange", draw);
  draw();
  return { chart };
}
