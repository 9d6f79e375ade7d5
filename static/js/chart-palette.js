/* Colours and dashes of charts, from the variables of the theme. */

const HUES = 6;
// Six hues in four strokes tell 24 lines apart, also without colour.
const DASHES = [[], [7, 4], [2, 3], [11, 3, 2, 3]];
const SHARED = {
  text: "--text",
  soft: "--text-soft",
  grid: "--grid",
  surface: "--surface",
  border: "--border-strong",
  bad: "--bad",
  accent: "--accent",
};

let known = new Map();
// Registered before any chart can be, so that charts which redraw on the same event see the new colours.
document.addEventListener("themechange", () => {
  known = new Map();
});

/** Resolve a colour variable to what the browser paints: light-dark() needs a used value. */
export function colourOf(variable) {
  if (!known.has(variable)) {
    const probe = document.createElement("span");
    probe.style.color = `var(${variable})`;
    // Without this a transition of colours would give what is between the two themes.
    probe.style.transition = "none";
    probe.hidden = true;
    document.body.append(probe);
    known.set(variable, getComputedStyle(probe).color);
    probe.remove();
  }
  return known.get(variable);
}

/** Give a colour of the form rgb(…) with another opacity. */
export function withAlpha(colour, alpha) {
  const [red, green, blue] = colour.match(/[\d.]+/g) ?? ["128", "128", "128"];
  return `rgba(${red}, ${green}, ${blue}, ${alpha})`;
}

/** Give colour and dash of the line with this index; a faint one stays behind the others. */
export function lineStyle(index, faint = false) {
  const at = Math.max(0, index);
  const plain = colourOf(`--series-${(at % HUES) + 1}`);
  const dash = DASHES[Math.floor(at / HUES) % DASHES.length];
  return faint ? { colour: withAlpha(plain, 0.45), dash: [2, 3] } : { colour: plain, dash };
}

/** Give the colours that all charts share. */
export function themeColours() {
  return Object.fromEntries(Object.entries(SHARED).map(([name, variable]) => [name, colourOf(variable)]));
}
