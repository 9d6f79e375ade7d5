/* The legend of a chart: a button a series, which shows and hides its line. */

const SVG = "http://www.w3.org/2000/svg";

function swatch({ colour, dash, width }) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 28 6");
  svg.setAttribute("width", "28");
  svg.setAttribute("height", "6");
  svg.setAttribute("aria-hidden", "true");
  const line = document.createElementNS(SVG, "line");
  for (const [name, value] of Object.entries({ x1: 0, x2: 28, y1: 3, y2: 3, "stroke-width": width + 0.75, stroke: colour })) line.setAttribute(name, value);
  if (dash.length) line.setAttribute("stroke-dasharray", dash.join(" "));
  svg.append(line);
  return svg;
}

/** Fill the legend; one line needs none. `toggle(key)` is told what was pressed. */
export function fillLegend(list, shapes, toggle) {
  list.hidden = shapes.length < 2;
  const signature = JSON.stringify(shapes.map((shape) => [shape.key, shape.label, shape.style, shape.hidden]));
  if (list.dataset.signature === signature) return;
  list.dataset.signature = signature;
  const focused = list.contains(document.activeElement) ? document.activeElement.dataset.key : null;
  list.replaceChildren(
    ...shapes.map((shape) => {
      const item = document.createElement("li");
      const button = document.createElement("button");
      button.type = "button";
      button.dataset.key = shape.key;
      button.setAttribute("aria-pressed", String(!shape.hidden));
      button.title = shape.hidden ? `Show ${shape.label}` : `Hide ${shape.label}`;
      const name = document.createElement("bdi");
      name.textContent = shape.label;
      button.append(swatch(shape.style), name);
      button.addEventListener("click", () => toggle(shape.key));
      item.append(button);
      return item;
    }),
  );
  if (focused !== null) list.querySelector(`[data-key="${CSS.escape(focused)}"]`)?.focus();
}
