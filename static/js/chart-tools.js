/* The bar above the charts of a page: what they all share. */
import { AXES } from "./chart-axes.js";
import { element, smallButton } from "./chart-frame.js";
import { KEYS_TEXT } from "./chart-keys.js";
import { MARKS } from "./chart-markers.js";
import { CLIPS } from "./chart-settings.js";

let bars = 0;

function choice(label, options, value) {
  const holder = element("label", "chart-choice");
  const select = element("select");
  for (const [key, text] of options) select.append(new Option(text, key, false, String(key) === String(value)));
  holder.append(element("span", "", label), select);
  return { holder, select };
}

function smoothing(value) {
  const holder = element("span", "chart-choice");
  const [slider, number] = ["range", "number"].map((type) => {
    const input = element("input");
    Object.assign(input, { type, min: "0", max: "0.99", step: "0.01", value: String(value) });
    return input;
  });
  slider.setAttribute("aria-label", "Smoothing");
  number.setAttribute("aria-label", "Smoothing, as a number");
  holder.append(element("span", "", "Smoothing"), slider, number);
  return { holder, slider, number };
}

/** Build the bar into an element. `change(changes)` is told every choice; `reset()` shows everything again. */
export function chartTools(bar, settings, { change, reset }) {
  bars += 1;
  bar.classList.add("chart-bar");
  bar.setAttribute("role", "group");
  bar.setAttribute("aria-label", "How the charts are shown");
  const axis = choice("Along x", Object.entries(AXES).map(([key, { label }]) => [key, label]), settings.axis);
  const axisReason = element("span", "chart-reason");
  axisReason.id = `axis-reason-${bars}`;
  axis.select.setAttribute("aria-describedby", axisReason.id);
  const smooth = smoothing(settings.smooth);
  const clipTexts = CLIPS.map((clip) => [clip, clip ? `clip beyond ${clip}–${100 - clip} %` : "all shown"]);
  const clip = choice("Outliers", clipTexts, settings.clip);
  const marks = element("fieldset", "chart-kinds");
  marks.append(element("legend", "", "Marks"));
  for (const [kind, { label, sign }] of Object.entries(MARKS)) {
    const holder = element("label", "chart-check");
    const box = element("input");
    Object.assign(box, { type: "checkbox", value: kind, checked: settings.marks.has(kind) });
    holder.append(box, ` ${sign} ${label}`);
    marks.append(holder);
  }
  const marksReason = element("span", "", "of up to 4 runs");
  marksReason.hidden = true;
  marks.append(marksReason);
  const resetButton = smallButton("Reset zoom");
  const help = element("details", "chart-help");
  help.append(element("summary", "", "Keys and mouse"), element("p", "", `Drag over a chart to zoom in, double-click to show everything; all charts of the page move together. ${KEYS_TEXT}`));

  axis.select.addEventListener("change", () => change({ axis: axis.select.value }));
  clip.select.addEventListener("change", () => change({ clip: Number(clip.select.value) }));
  for (const input of [smooth.slider, smooth.number]) {
    input.addEventListener("input", () => {
      const value = Math.min(0.99, Math.max(0, Number(input.value) || 0));
      (input === smooth.slider ? smooth.number : smooth.slider).value = String(value);
      change({ smooth: value });
    });
  }
  smooth.number.addEventListener("change", () => {
    smooth.number.value = smooth.slider.value;
  });
  marks.addEventListener("change", () => {
    change({ marks: new Set([...marks.querySelectorAll("input:checked")].map((box) => box.value)) });
  });
  resetButton.addEventListener("click", () => {
    reset();
    axis.select.focus();
  });
  bar.replaceChildren(axis.holder, smooth.holder, clip.holder, marks, resetButton, axisReason, help);

  return {
    /** Say which axes cannot be drawn and why, and whether there is a zoom to reset. */
    refresh({ reasons, zoomed, shown, marked }) {
      for (const box of marks.querySelectorAll("input")) box.disabled = !marked && box.value !== "broken";
      marksReason.hidden = marked;
      axis.select.value = shown;
      for (const option of axis.select.options) {
        const reason = reasons[option.value];
        option.disabled = Boolean(reason);
        option.text = reason ? `${AXES[option.value].label} (${reason})` : AXES[option.value].label;
      }
      const texts = Object.entries(reasons).filter(([, reason]) => reason);
      axisReason.textContent = texts.map(([key, reason]) => `${AXES[key].label}: ${reason}.`).join(" ");
      axisReason.hidden = !texts.length;
      resetButton.hidden = !zoomed;
    },
  };
}
