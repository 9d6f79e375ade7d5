/* Marks along a curve: where values were not finite, checkpoints, resumes and evaluations; and clipped points. */

/** The kinds of marks: their names and the signs that stand for them. */
export const MARKS = {
  broken: { label: "not finite", sign: "✕" },
  checkpoints: { label: "checkpoints", sign: "▲" },
  resumes: { label: "resumes", sign: "┆" },
  evaluations: { label: "evaluations", sign: "◆" },
};
const NEAR_PX = 7;

/** The first and the last place of all points. */
function rangeOf(shapes) {
  const drawn = shapes.filter((shape) => shape.value.length);
  return [Math.min(...drawn.map(({ value }) => value[0].x)), Math.max(...drawn.map(({ value }) => value.at(-1).x))];
}

/** Place a mark by the moment of its step: what was graded days later belongs to the step that was graded.

    A resume lies at its own moment, behind what it overtook; so does what lies outside of the series' steps. */
function placeOf(kind, step, time, at) {
  const byStep = kind === "resumes" ? NaN : at(undefined);
  return Number.isFinite(byStep) ? byStep : at(time);
}

/** Place the marks that are wanted: [{kind, x, text}], by kind. */
export function placeMarks(shapes, { view, positions, marks }) {
  const placed = [];
  const seen = new Set();
  const [from, to] = view.zoom ?? rangeOf(shapes);
  for (const shape of shapes) {
    if (view.marks.has("broken")) {
      for (const { step, x } of shape.broken) placed.push({ kind: "broken", x, text: `${shape.label} not finite at step ${step}` });
    }
    const { series } = shape;
    const own = marks?.get(String(series.run_id ?? ""));
    if (!own || series.faint || seen.has(series.run_id) || !series.step.length) continue;
    seen.add(series.run_id);
    for (const kind of ["checkpoints", "resumes", "evaluations"]) {
      if (!view.marks.has(kind)) continue;
      for (const { step, time, text } of own[kind]) {
        const x = placeOf(kind, step, time, (moment) => positions.at(view.axis, series, step, moment));
        if (Number.isFinite(x) && x >= from && x <= to) placed.push({ kind, x, text: `${text} (step ${step})` });
      }
    }
  }
  return placed;
}

/** Say which marks are drawn, and how often: the legend of the marks. */
export function marksText(placed) {
  const parts = Object.entries(MARKS).map(([kind, { label, sign }]) => {
    const many = placed.filter((mark) => mark.kind === kind).length;
    return many ? `${sign} ${many.toLocaleString("en")} ${many === 1 ? label.replace(/s$/, "") : label}` : "";
  });
  return parts.filter(Boolean).join(" · ");
}

/** Give the words of the marks that lie at a place, for a tooltip. */
export function marksNear(chart, x) {
  const place = chart.scales.x.getPixelForValue(x);
  const near = chart.tunix.placed.filter(
    (mark) => Math.abs(chart.scales.x.getPixelForValue(mark.x) - place) <= NEAR_PX,
  );
  const texts = near.map((mark) => `${MARKS[mark.kind].sign} ${mark.text}`);
  return texts.length > 4 ? [...texts.slice(0, 4), `and ${texts.length - 4} more marks`] : texts;
}

const draw = {
  broken(ctx, x, { bottom }) {
    const y = bottom - 6;
    ctx.beginPath();
    ctx.moveTo(x - 4, y - 4);
    ctx.lineTo(x + 4, y + 4);
    ctx.moveTo(x + 4, y - 4);
    ctx.lineTo(x - 4, y + 4);
    ctx.stroke();
  },
  checkpoints(ctx, x, { bottom }) {
    triangle(ctx, x, bottom, -1);
  },
  resumes(ctx, x, { top, bottom }) {
    ctx.lineWidth = 1.25;
    ctx.setLineDash([4, 4]);
    ctx.beginPath();
    ctx.moveTo(x, top);
    ctx.lineTo(x, bottom);
    ctx.stroke();
    ctx.setLineDash([]);
  },
  evaluations(ctx, x, { top }) {
    ctx.beginPath();
    ctx.moveTo(x, top);
    ctx.lineTo(x + 4, top + 5);
    ctx.lineTo(x, top + 10);
    ctx.lineTo(x - 4, top + 5);
    ctx.closePath();
    ctx.fill();
  },
};

function triangle(ctx, x, y, direction) {
  ctx.beginPath();
  ctx.moveTo(x, y + 8 * direction);
  ctx.lineTo(x + 4.5, y);
  ctx.lineTo(x - 4.5, y);
  ctx.closePath();
  ctx.fill();
}

/** Draws the marks, and an arrowhead at the edge for every point that a clipped axis leaves outside. */
export const marksPlugin = {
  id: "tunixMarks",
  afterDatasetsDraw(chart) {
    if (!chart.tunix) return;
    const { placed, shapes, limits, colours } = chart.tunix;
    const { ctx, chartArea, scales } = chart;
    const inside = (x) => x >= chartArea.left - 1 && x <= chartArea.right + 1;
    ctx.save();
    for (const { kind, x } of placed) {
      const at = scales.x.getPixelForValue(x);
      ctx.lineWidth = 2;
      ctx.strokeStyle = ctx.fillStyle = kind === "broken" ? colours.bad : colours.soft;
      if (inside(at)) draw[kind](ctx, at, chartArea);
    }
    for (const shape of limits ? shapes : []) {
      if (shape.hidden) continue;
      const outside = new Set(shape.outside);
      ctx.fillStyle = shape.style.colour;
      for (const { x, i } of shape.value) {
        const at = scales.x.getPixelForValue(x);
        if (!outside.has(i) || !inside(at)) continue;
        const { value, min, max } = shape.series;
        if ((max[i] ?? value[i]) > limits.high) triangle(ctx, at, chartArea.top + 8, -1);
        if ((min[i] ?? value[i]) < limits.low) triangle(ctx, at, chartArea.bottom - 8, 1);
      }
    }
    ctx.restore();
  },
};
