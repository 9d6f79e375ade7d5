/* The table behind a chart: every number that is shown, exactly. */
import { fullMoment } from "./chart-ticks.js";

const TABLE_ROWS = 500;

/** Give the columns and rows of what is shown: names, and an array of cells a row, newest first. */
export function tableOf(shapes) {
  const grouped = shapes.some((shape) => shape.grouped);
  const timed = shapes.some((shape) => shape.series.time?.length);
  const smoothed = shapes.some((shape) => shape.smoothed);
  const columns = ["step", ...(timed ? ["time"] : []), "metric", "value"];
  if (grouped) columns.push("least", "greatest", "points");
  if (smoothed) columns.push("smoothed");
  const rows = shapes.flatMap((shape) => shape.seen.map((index) => ({ shape, index, step: shape.series.step[index] })));
  rows.sort((a, b) => b.step - a.step || a.shape.label.localeCompare(b.shape.label));
  const cellsOf = ({ shape: { series, label, smoothed: line }, index, step }) => [
    step,
    ...(timed ? [series.time?.length ? fullMoment(series.time[index]) : ""] : []),
    label,
    series.value[index] ?? "not finite",
    ...(grouped ? [series.min[index] ?? "", series.max[index] ?? "", series.count[index] ?? 1] : []),
    ...(smoothed ? [line?.[index] ?? ""] : []),
  ];
  return { columns, rows, cellsOf };
}

/** Fill the table with the newest rows, newest first. */
export function fillTable(holder, shapes, title) {
  const { columns, rows, cellsOf } = tableOf(shapes);
  const shown = rows.slice(0, TABLE_ROWS);
  const words = new Set([columns.indexOf("metric"), columns.indexOf("time")]);
  const table = document.createElement("table");
  table.className = "data";
  const all = rows.length.toLocaleString("en");
  table.createCaption().textContent = rows.length > shown.length
    ? `${title}: the newest ${shown.length} of ${all} rows; Download has all of them`
    : `${title}: ${all} rows`;
  const head = table.createTHead().insertRow();
  columns.forEach((column, at) => {
    const cell = document.createElement("th");
    cell.className = words.has(at) ? "" : "number";
    cell.scope = "col";
    cell.textContent = column;
    head.append(cell);
  });
  const body = table.createTBody();
  for (const row of shown) {
    const line = body.insertRow();
    cellsOf(row).forEach((text, at) => {
      const cell = line.insertCell();
      cell.textContent = String(text);
      if (!words.has(at)) cell.className = "number";
    });
  }
  holder.replaceChildren(table);
}
