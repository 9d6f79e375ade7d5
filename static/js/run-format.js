/* Numbers and times as the pages of the server show them. */

/** Four significant digits, and four decimals where losses usually are. */
export function formatNumber(value) {
  const size = Math.abs(value);
  if (size >= 1e-3 && size < 1e4) return value.toFixed(4);
  if (value === 0) return "0";
  return size >= 1e4 ? Math.round(value).toLocaleString("en") : value.toExponential(3);
}

export function formatShare(value) {
  return `${(100 * value).toFixed(1)} %`;
}

/** A time span in its two largest units; seconds in. */
export function formatSpan(total) {
  const whole = Math.max(0, Math.round(total));
  const hours = Math.floor(whole / 3600);
  const minutes = Math.floor((whole % 3600) / 60);
  if (hours) return `${hours} h ${String(minutes).padStart(2, "0")} min`;
  return minutes ? `${minutes} min ${String(whole % 60).padStart(2, "0")} s` : `${whole} s`;
}

/** How long something still takes, roughly; seconds in. */
export function formatLeft(seconds) {
  const whole = Math.round(seconds / 60);
  if (whole < 1) return "less than a minute left";
  const hours = Math.floor(whole / 60);
  return hours ? `about ${hours} h ${String(whole % 60).padStart(2, "0")} min left` : `about ${whole} min left`;
}
