/* The words below a chart: how many of how many points it shows, and everything that it leaves out. */
import { shortNumber } from "./chart-ticks.js";
import { AXES } from "./chart-axes.js";

const NAMED_SERIES = 6;

const plain = (number) => number.toLocaleString("en");
const several = (number, word) => `${plain(number)} ${word}${number === 1 ? "" : "s"}`;

function shownText(shapes) {
  if (shapes.length > NAMED_SERIES) {
    const [shown, total] = [0, 0].map((_, at) => shapes.reduce((sum, one) => sum + (at ? one.total : one.seen.length), 0));
    return [`${plain(shown)} of ${plain(total)} points of ${shapes.length} series`];
  }
  return shapes.map((shape) => {
    const name = shapes.length > 1 ? `${shape.label}: ` : "";
    return `${name}${plain(shape.seen.length)} of ${plain(shape.total)} points`;
  });
}

function brokenText(shapes) {
  const steps = [...new Set(shapes.flatMap((shape) => shape.broken.map(({ step }) => step)))].sort((a, b) => a - b);
  if (!steps.length) return [];
  const counted = shapes.reduce((sum, shape) => sum + (shape.brokenCount ?? shape.broken.length), 0);
  const named = steps.slice(0, 5).join(", ") + (steps.length > 5 || counted > steps.length ? " …" : "");
  const many = counted > 5 ? `${plain(counted)} times, ` : "";
  return [`not finite (✕) ${many}at ${steps.length === 1 ? "step" : "steps"} ${named}`];
}

/** Say what is drawn and what is not. */
export function noteText({ shapes, limits }, { axis, smooth, clip, log, zoom }, { loading = false, problem = "", unread = false } = {}) {
  const seen = shapes.filter((shape) => shape.seen.length);
  if (!shapes.length || shapes.every((shape) => !shape.series.step.length)) {
    if (!unread) return "No points yet.";
    return problem ? `The points could not be read: ${problem.replace(/\.$/, "")}.` : "The points are being read …";
  }
  const parts = shownText(shapes);
  if (loading) parts.push("finer points are being read");
  if (problem) parts.push(`finer points could not be read: ${problem.replace(/\.$/, "")}`);
  if (seen.some((shape) => shape.grouped)) parts.push("the band spans the least and greatest value of each group");
  if (smooth > 0) parts.push(`smoothed with β = ${smooth}, the points faint behind`);
  parts.push(...brokenText(shapes));
  const unplaced = shapes.reduce((sum, shape) => sum + shape.unplaced, 0);
  if (unplaced) {
    const where = AXES[axis].metric ? `${AXES[axis].metric} does not reach them` : "they say no time";
    const whose = shapes.filter((shape) => shape.unplaced).map((shape) => shape.label);
    parts.push(`${several(unplaced, "point")} not drawn, for ${where} (${whose.slice(0, 3).join(", ")}${whose.length > 3 ? " …" : ""})`);
  }
  const notPositive = log ? shapes.reduce((sum, shape) => sum + shape.notPositive, 0) : 0;
  if (notPositive) parts.push(`${several(notPositive, "value")} of 0 and below have no place on a logarithmic axis`);
  if (limits) {
    const outside = shapes.filter((shape) => !shape.hidden).reduce((sum, shape) => sum + shape.outside.length, 0);
    const range = `${shortNumber(limits.low)} to ${shortNumber(limits.high)}`;
    parts.push(`clipped to percentiles ${clip} to ${100 - clip} (${range}): ${several(outside, "shown point")} reach${outside === 1 ? "es" : ""} outside`);
  }
  if (zoom) parts.push("zoomed in");
  return `${parts.join("; ")}.`.replace("….", "…");
}
