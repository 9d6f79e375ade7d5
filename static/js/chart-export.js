/* A chart as a file: a picture with its title and legend, or the numbers that it shows. */
import { metricOf } from "./chart-series.js";

const PADDING = 16;
const LINE = 20;

/** Offer what was made to the person as a file. */
export function save(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

/** A name for a file: what people read, in letters that every file system takes. */
export function fileName(title, runs, ending) {
  const words = title.toLowerCase().replace(/[^a-z0-9]+/g, "-").replace(/^-|-$/g, "").slice(0, 60) || "chart";
  const whose = runs.length === 1 && runs[0] ? `run-${runs[0]}-` : runs.length > 1 ? `${runs.length}-runs-` : "";
  return `${whose}${words}.${ending}`;
}

/** Write a cell of CSV; a text that a spreadsheet would take for a formula is disarmed. */
export function csvCell(value) {
  if (value === null || value === undefined) return "";
  if (typeof value === "number") return String(value);
  const text = /^[=+\-@\t\r]/.test(value) ? `'${value}` : String(value);
  return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

/** Write what is shown as CSV, a row a point, by series and step. */
export function csvOf(shapes) {
  const rows = [["run", "series", "metric", "unit", "step", "time", "value", "least", "greatest", "points", "smoothed"]];
  for (const { series, label, seen, smoothed } of shapes) {
    for (const index of seen) {
      const facts = [series.run_id, label, metricOf(series), series.unit, series.step[index], series.time?.[index]];
      rows.push([...facts, series.value[index], series.min[index], series.max[index], series.count[index], smoothed?.[index]]);
    }
  }
  return `${rows.map((row) => row.map(csvCell).join(",")).join("\r\n")}\r\n`;
}

/** Draw a chart with its title, unit, legend and note on the ground of the theme; gives a PNG. */
export function pictureOf(canvas, { title, unit, shapes, note, colours, font }) {
  const ratio = canvas.width / canvas.clientWidth;
  const width = canvas.clientWidth + 2 * PADDING;
  const legend = shapes.length > 1 ? shapes.filter((shape) => !shape.hidden) : [];
  const columns = Math.max(1, Math.floor(canvas.clientWidth / 260));
  const above = PADDING + LINE + Math.ceil(legend.length / columns) * LINE + 6;
  const picture = document.createElement("canvas");
  const ctx = picture.getContext("2d");
  const wrap = (text) => {
    const lines = [""];
    for (const word of text.split(" ")) {
      const longer = `${lines.at(-1)} ${word}`.trim();
      if (ctx.measureText(longer).width > canvas.clientWidth && lines.at(-1)) lines.push(word);
      else lines[lines.length - 1] = longer;
    }
    return lines;
  };
  ctx.font = `12px ${font}`;
  const below = wrap(note);
  picture.width = Math.round(width * ratio);
  picture.height = Math.round((above + canvas.clientHeight + below.length * 16 + PADDING) * ratio);
  ctx.scale(ratio, ratio);
  ctx.fillStyle = colours.surface;
  ctx.fillRect(0, 0, width, picture.height);
  ctx.textBaseline = "middle";
  ctx.fillStyle = colours.text;
  ctx.font = `600 15px ${font}`;
  ctx.fillText(unit ? `${title} (${unit})` : title, PADDING, PADDING + LINE / 2, canvas.clientWidth);
  ctx.font = `12px ${font}`;
  legend.forEach(({ label, style }, at) => {
    const x = PADDING + (at % columns) * 260;
    const y = PADDING + LINE * (1.5 + Math.floor(at / columns));
    ctx.strokeStyle = style.colour;
    ctx.lineWidth = style.width + 0.75;
    ctx.setLineDash(style.dash);
    ctx.beginPath();
    ctx.moveTo(x, y);
    ctx.lineTo(x + 28, y);
    ctx.stroke();
    ctx.fillText(label, x + 34, y, 220);
  });
  ctx.drawImage(canvas, PADDING, above, canvas.clientWidth, canvas.clientHeight);
  ctx.fillStyle = colours.soft;
  below.forEach((line, at) => ctx.fillText(line, PADDING, above + canvas.clientHeight + 10 + at * 16));
  return new Promise((done) => picture.toBlob(done, "image/png"));
}
