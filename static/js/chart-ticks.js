/* Numbers and moments as an axis and a tooltip say them. */

const SPANS = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400];
const DAY = 86400;

/** A number short enough for an axis. */
export function shortNumber(value) {
  const size = Math.abs(value);
  if (size !== 0 && (size >= 1e6 || size < 1e-3)) return Number(value).toExponential(1).replace(".0e", "e");
  return Number(value).toLocaleString("en", { maximumSignificantDigits: 4 });
}

const BYTES = ["bytes", "KiB", "MiB", "GiB", "TiB"];

/** Label a value of an axis so that it differs from its neighbours, which are `ticks`: [{value}]. */
export function valueText(value, ticks = [], unit = "") {
  const values = ticks.map((one) => Math.abs(one.value));
  const size = Math.max(Math.abs(value), ...values);
  const apart = ticks.length > 1 ? Math.abs(ticks[1].value - ticks[0].value) : 0;
  if (unit === "bytes") {
    const power = size >= 1024 ? Math.min(BYTES.length - 1, Math.floor(Math.log2(size) / 10)) : 0;
    const digits = apart ? Math.min(6, Math.max(0, Math.ceil(-Math.log10(apart / 1024 ** power)))) : 2;
    return `${(value / 1024 ** power).toLocaleString("en", { maximumFractionDigits: digits })} ${BYTES[power]}`;
  }
  const digits = apart && size ? Math.ceil(Math.log10(size / apart)) + 1 : 0;
  if (!Number.isFinite(digits) || digits <= 2) return shortNumber(value);
  if (size >= 1e6 || size < 1e-3) return value === 0 ? "0" : Number(value).toExponential(Math.min(12, digits - 1)).replace(/\.?0+e/, "e");
  return Number(value).toLocaleString("en", { maximumSignificantDigits: Math.min(15, Math.max(4, digits)) });
}

/** Choose round moments between two, at most `most` of them; seconds. */
export function timeTicks(from, to, most) {
  const wish = (to - from) / Math.max(1, most);
  let span = SPANS.find((one) => one >= wish) ?? Math.ceil(wish / DAY) * DAY;
  if (wish < 0.5) span = 10 ** Math.ceil(Math.log10(Math.max(wish, 1e-6)));
  const ticks = [];
  for (let at = Math.ceil(from / span); at * span <= to && ticks.length <= 2 * most; at += 1) ticks.push(at * span);
  return { span, ticks };
}

const two = (number) => String(number).padStart(2, "0");

/** Say a length of time, as exactly as ticks that lie `span` seconds apart need it. */
export function durationText(seconds, span = 1) {
  const sign = seconds < 0 ? "−" : "";
  const size = Math.abs(seconds);
  if (span < 1 || (size < 60 && size % 1)) return `${sign}${Number(size.toPrecision(4))} s`;
  const whole = Math.round(size);
  const [days, hours, minutes] = [Math.floor(whole / DAY), Math.floor(whole / 3600) % 24, Math.floor(whole / 60) % 60];
  const parts = [days && `${days} d`, hours && `${hours} h`, minutes && `${minutes} min`, whole % 60 && `${whole % 60} s`];
  return sign + (parts.filter(Boolean).join(" ") || "0 s");
}

/** Say a moment (Unix seconds) in UTC, as exactly as ticks that lie `span` seconds apart need it. */
export function momentText(seconds, span = 1) {
  const moment = new Date(seconds * 1000);
  const day = `${moment.getUTCFullYear()}-${two(moment.getUTCMonth() + 1)}-${two(moment.getUTCDate())}`;
  if (span >= DAY) return day;
  const clock = `${two(moment.getUTCHours())}:${two(moment.getUTCMinutes())}`;
  if (seconds % DAY === 0) return day;
  return span >= 60 ? clock : `${clock}:${two(moment.getUTCSeconds())}`;
}

/** Say a moment (Unix seconds) in full, in UTC as the pages do. */
export const fullMoment = (seconds) => `${new Date(seconds * 1000).toISOString().slice(0, 19).replace("T", " ")} UTC`;

/** Say a place on an axis in words for a tooltip. */
export function placeText(axis, place) {
  if (axis === "relative") return durationText(place);
  if (axis === "wall") return fullMoment(place);
  if (axis === "tokens") return `${Math.round(place).toLocaleString("en")} tokens`;
  if (axis === "epoch") return `epoch ${Number(place.toPrecision(6))}`;
  return `step ${place}`;
}

/** Choose round numbers between two, about `most` of them, no closer than `least`. */
export function roundTicks(from, to, most, least = 0) {
  const wish = Math.max((to - from) / Math.max(1, most), least, Number.MIN_VALUE);
  const power = 10 ** Math.floor(Math.log10(wish));
  const span = [1, 2, 2.5, 5, 10].map((one) => one * power).find((one) => one >= wish * (1 - 1e-9) && one % (least || one) === 0) ?? 10 * power;
  const ticks = [];
  for (let at = Math.ceil(from / span); at * span <= to && ticks.length <= 2 * most + 1; at += 1) ticks.push(at * span);
  return { span, ticks };
}

/** Give Chart.js what it needs to label an axis. */
export function tickOptions(axis) {
  const say = {
    step: (value) => value.toLocaleString("en"),
    relative: durationText,
    wall: momentText,
    tokens: shortCount,
    epoch: (value) => Number(value.toPrecision(6)).toLocaleString("en", { maximumFractionDigits: 6 }),
  }[axis];
  const choose = axis === "relative" || axis === "wall" ? timeTicks : roundTicks;
  return {
    afterBuildTicks: (scale) => {
      const most = Math.max(2, Math.floor(scale.width / 90));
      const { span, ticks } = choose(scale.min, scale.max, most, axis === "step" || axis === "tokens" ? 1 : 0);
      scale.tunixSpan = span;
      // A view between two round numbers still needs its ends.
      scale.ticks = (ticks.length ? ticks : [scale.min, scale.max]).map((value) => ({ value }));
    },
    ticks: { callback(value) { return say(value, this.tunixSpan); } },
  };
}

/** A count of many, as in 1.5M. */
export function shortCount(value) {
  const size = Math.abs(value);
  const [unit, name] = size >= 1e12 ? [1e12, "T"] : size >= 1e9 ? [1e9, "B"] : size >= 1e6 ? [1e6, "M"] : size >= 1e4 ? [1e3, "k"] : [1, ""];
  return Number(value / unit).toLocaleString("en", { maximumSignificantDigits: 4 }) + name;
}
