/* What stands around a chart: title, buttons, legend, the note on what is shown, the table of numbers. */

export function element(tag, className, text) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

export function smallButton(text) {
  const button = element("button", "button button-small", text);
  button.type = "button";
  return button;
}

/** A button that opens a few more; `fill()` gives them each time. */
function menu(text) {
  const details = element("details", "chart-menu");
  const items = element("div", "chart-menu-items");
  details.append(element("summary", "button button-small", text), items);
  const close = () => {
    details.open = false;
  };
  document.addEventListener("click", (event) => !details.contains(event.target) && close());
  details.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || !details.open) return;
    close();
    details.firstChild.focus();
  });
  items.addEventListener("click", close);
  return { details, items };
}

/** Build the frame around a canvas and return its parts. */
export function chartFrame(canvas, { title, unit }) {
  const box = canvas.closest(".chart-box") ?? canvas.parentElement;
  const figure = element("figure", "chart");
  const head = element("figcaption", "chart-head");
  const heading = element("span", "chart-title", title);
  if (unit) heading.append(" ", element("span", "chart-unit", unit));
  const reset = smallButton("Reset zoom");
  reset.hidden = true;
  const log = smallButton("Log scale");
  const download = menu("Download");
  download.details.hidden = true;
  const buttons = element("span", "chart-buttons");
  buttons.append(reset, log, download.details);
  head.append(heading, buttons);
  const legend = element("ul", "chart-legend");
  legend.hidden = true;
  const marks = element("p", "chart-marks");
  marks.hidden = true;
  const note = element("p", "chart-note");
  const said = element("p", "visually-hidden");
  said.setAttribute("role", "status");
  const details = element("details", "chart-table");
  details.append(element("summary", "", "Numbers as a table"));
  const holder = element("div", "table-scroll");
  holder.tabIndex = 0;
  holder.setAttribute("role", "region");
  holder.setAttribute("aria-label", `${title || "Chart"}: table`);
  details.append(holder);
  canvas.setAttribute("role", "img");
  box.replaceWith(figure);
  figure.append(head, legend, box, marks, note, said, details);
  return { figure, reset, log, download, legend, marks, note, said, details, holder };
}
