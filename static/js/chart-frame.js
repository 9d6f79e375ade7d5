/* What stands around a chart: title, log switch, the note on what is shown, the table of numbers. */

const TABLE_ROWS = 500;

function element(tag, className, text) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

/** A number short enough for an axis. */
export function shortNumber(value) {
  const size = Math.abs(value);
  if (size !== 0 && (size >= 1e6 || size < 1e-3)) return Number(value).toExponential(1).replace(".0e", "e");
  return Number(value).toLocaleString("en", { maximumSignificantDigits: 4 });
}

/** Say how many of how many points are drawn, and which steps had no finite value. */
export function noteText({ series, logarithmic }) {
  const parts = series.map((one) => {
    const total = Math.max(one.total_points ?? 0, one.step.length);
    const shown = one.step.length.toLocaleString("en");
    const name = series.length > 1 ? `${one.name}: ` : "";
    return `${name}${shown} of ${total.toLocaleString("en")} points`;
  });
  if (!parts.length || series.every((one) => !one.step.length)) return "No points yet.";
  const grouped = series.some((one) => one.count.some((count) => count > 1));
  if (grouped) parts.push("the band spans the least and greatest value of each group");
  const broken = [...new Set(series.flatMap((one) => one.non_finite))].sort((a, b) => a - b);
  if (broken.length) {
    const named = broken.slice(0, 5).join(", ") + (broken.length > 5 ? " …" : "");
    parts.push(`not finite (✕) at ${broken.length === 1 ? "step" : "steps"} ${named}`);
  }
  if (logarithmic && series.some((one) => one.value.some((value) => value !== null && value <= 0))) {
    parts.push("values of 0 and below have no place on a logarithmic axis");
  }
  return `${parts.join("; ")}.`;
}

/** Build the frame around a canvas and return its parts. */
export function chartFrame(canvas, { title, unit }) {
  const box = canvas.closest(".chart-box") ?? canvas.parentElement;
  const figure = element("figure", "chart");
  const head = element("figcaption", "chart-head");
  const heading = element("span", "chart-title", title);
  if (unit) heading.append(" ", element("span", "chart-unit", unit));
  const log = element("button", "button button-small", "Log scale");
  log.type = "button";
  head.append(heading, log);
  const note = element("p", "chart-note");
  const details = element("details", "chart-table");
  details.append(element("summary", "", "Numbers as a table"));
  const holder = element("div", "table-scroll");
  holder.tabIndex = 0;
  holder.setAttribute("role", "region");
  holder.setAttribute("aria-label", `${title || "Chart"}: table`);
  details.append(holder);
  canvas.setAttribute("role", "img");
  box.replaceWith(figure);
  figure.append(head, box, note, details);
  return { figure, log, note, details, holder };
}

/** Fill the table with the newest rows, newest first. */
export function fillTable({ holder }, { series, title }) {
  const grouped = series.some((one) => one.count.some((count) => count > 1));
  const rows = series.flatMap((one) => one.step.map((step, index) => ({ one, step, index })));
  rows.sort((a, b) => b.step - a.step || a.one.name.localeCompare(b.one.name));
  const shown = rows.slice(0, TABLE_ROWS);

  const table = element("table", "data");
  const left = rows.length - shown.length;
  const caption = left ? `${title}: the newest ${shown.length} of ${rows.length} rows` : `${title}: ${rows.length} rows`;
  table.append(element("caption", "", caption));
  const head = table.createTHead().insertRow();
  const columns = ["step", "metric", "value", ...(grouped ? ["least", "greatest", "points"] : [])];
  for (const column of columns) {
    const cell = element("th", column === "metric" ? "" : "number", column);
    cell.scope = "col";
    head.append(cell);
  }
  const body = table.createTBody();
  for (const { one, step, index } of shown) {
    const row = body.insertRow();
    const value = one.value[index];
    const cells = [step, one.name, value ?? "not finite"];
    if (grouped) cells.push(one.min[index] ?? "", one.max[index] ?? "", one.count[index] ?? 1);
    cells.forEach((text, column) => {
      const cell = row.insertCell();
      cell.textContent = String(text);
      if (column !== 1) cell.className = "number";
    });
  }
  holder.replaceChildren(table);
}
