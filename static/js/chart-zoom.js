/* Zooming a chart along x: by dragging, by double click, and the arithmetic that keys and buttons share. */

const LEAST_DRAG_PX = 6;
/** The narrowest view, as a share of everything: closer than this, numbers run out of digits. */
const LEAST_SHARE = 1e-7;

/** Fit a range into the extent of the data; null means all of it. */
export function fitRange(wanted, [low, high]) {
  let [from, to] = wanted;
  const least = (high - low) * LEAST_SHARE;
  if (to - from < least) [from, to] = [(from + to - least) / 2, (from + to + least) / 2];
  const width = to - from;
  if (!(high > low) || !(width < high - low)) return null;
  if (from < low) return [low, low + width];
  if (to > high) return [high - width, high];
  return [from, to];
}

/** Scale a range around a place: a factor below one shows less. */
export function scaleRange([from, to], factor, about = (from + to) / 2) {
  return [about - (about - from) * factor, about + (to - about) * factor];
}

/** Let a pointer draw a range over a chart; `zoom([from, to])` is told, and `reset()` at a double click.

    A finger that moves up or down scrolls the page as everywhere (touch-action: pan-y). */
export function dragToZoom(canvas, getChart, { zoom, reset }) {
  const box = document.createElement("div");
  box.className = "chart-selection";
  box.hidden = true;
  canvas.parentElement.append(box);
  let start = null;

  const placeOf = (event) => {
    const { left, right } = getChart().chartArea;
    return Math.min(right, Math.max(left, event.clientX - canvas.getBoundingClientRect().left));
  };
  const end = () => {
    start = null;
    box.hidden = true;
  };
  canvas.addEventListener("pointerdown", (event) => {
    const chart = getChart();
    if (!chart || event.button !== 0 || !event.isPrimary) return;
    const { top, bottom } = chart.chartArea;
    const y = event.clientY - canvas.getBoundingClientRect().top;
    if (y < top || y > bottom) return;
    start = placeOf(event);
    canvas.setPointerCapture(event.pointerId);
  });
  canvas.addEventListener("pointermove", (event) => {
    if (start === null) return;
    const now = placeOf(event);
    const { top, bottom } = getChart().chartArea;
    box.hidden = Math.abs(now - start) < LEAST_DRAG_PX;
    box.style.left = `${Math.min(start, now)}px`;
    box.style.width = `${Math.abs(now - start)}px`;
    box.style.top = `${top}px`;
    box.style.height = `${bottom - top}px`;
  });
  canvas.addEventListener("pointerup", (event) => {
    if (start === null) return;
    const range = [start, placeOf(event)].sort((a, b) => a - b);
    end();
    if (range[1] - range[0] < LEAST_DRAG_PX) return;
    const { x } = getChart().scales;
    zoom(range.map((pixel) => x.getValueForPixel(pixel)));
  });
  canvas.addEventListener("pointercancel", end);
  canvas.addEventListener("keydown", (event) => event.key === "Escape" && end());
  canvas.addEventListener("dblclick", reset);
}
