/* Terminal colours as spans. Only SGR sequences count: bold, the 8 + 8 colours, and those of 256 or
   of 24 bits by their nearest one. Every other sequence is dropped; text is only ever set as text. */

// The sixteen colours of xterm, for finding the nearest one.
const PALETTE = [
  [0, 0, 0], [205, 0, 0], [0, 205, 0], [205, 205, 0], [0, 0, 238], [205, 0, 205], [0, 205, 205], [229, 229, 229],
  [127, 127, 127], [255, 0, 0], [0, 255, 0], [255, 255, 0], [92, 92, 255], [255, 0, 255], [0, 255, 255], [255, 255, 255],
];
const ESCAPE = "\u001b";
// SGR; any other CSI; OSC with its end; two-character sequences; other control characters.
const SEQUENCE = /\u001b\[([\d;:]*)m|\u001b\[[0-?]*[ -/]*[@-~]|\u001b\][^\u0007\u001b]*(?:\u0007|\u001b\\)|\u001b[@-Z\\-_]|[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f]/g;
// What may be the beginning of a sequence whose end has not come yet.
const UNFINISHED = /\u001b(?:\[[0-?]*[ -/]*|\][^\u0007\u001b]*)?$/;
const LONGEST_UNFINISHED = 4096;

function nearest(red, green, blue) {
  let best = 0;
  let least = Infinity;
  PALETTE.forEach(([r, g, b], index) => {
    const distance = (r - red) ** 2 + (g - green) ** 2 + (b - blue) ** 2;
    if (distance < least) [best, least] = [index, distance];
  });
  return best;
}

/** Map a colour of 256 to one of sixteen. */
export function of256(number) {
  if (number < 16) return number;
  if (number >= 232) {
    const grey = 8 + 10 * (number - 232);
    return nearest(grey, grey, grey);
  }
  const level = (value) => (value ? 55 + 40 * value : 0);
  const cube = number - 16;
  return nearest(level(Math.floor(cube / 36)), level(Math.floor(cube / 6) % 6), level(cube % 6));
}

/** Reads pieces of a terminal's output; a style, and a sequence cut in two, go on into the next piece. */
export class AnsiReader {
  constructor() {
    this.reset();
  }

  reset() {
    this.pending = "";
    this.bold = false;
    this.ink = null;
    this.ground = null;
  }

  /** Give `[text, classes]` pairs of a piece. */
  read(piece) {
    let text = this.pending + piece;
    this.pending = "";
    const cut = UNFINISHED.exec(text);
    if (cut && text.length - cut.index <= LONGEST_UNFINISHED) {
      this.pending = text.slice(cut.index);
      text = text.slice(0, cut.index);
    }
    const parts = [];
    let from = 0;
    for (const found of text.matchAll(SEQUENCE)) {
      if (found.index > from) parts.push([text.slice(from, found.index), this.classes()]);
      if (found[0].startsWith(`${ESCAPE}[`) && found[0].endsWith("m") && found[1] !== undefined) this.style(found[1]);
      from = found.index + found[0].length;
    }
    if (from < text.length) parts.push([text.slice(from), this.classes()]);
    return parts;
  }

  classes() {
    const names = [];
    if (this.bold) names.push("ansi-bold");
    if (this.ink !== null) names.push(`ansi-${this.ink}`);
    if (this.ground !== null) names.push(`ansi-on-${this.ground}`);
    return names.join(" ");
  }

  style(codes) {
    const numbers = (codes || "0").split(/[;:]/).map((code) => Number(code || 0));
    while (numbers.length) {
      const code = numbers.shift();
      if (code === 0) [this.bold, this.ink, this.ground] = [false, null, null];
      else if (code === 1) this.bold = true;
      else if (code === 22) this.bold = false;
      else if (code >= 30 && code <= 37) this.ink = code - 30;
      else if (code >= 90 && code <= 97) this.ink = code - 82;
      else if (code === 39) this.ink = null;
      else if (code >= 40 && code <= 47) this.ground = code - 40;
      else if (code >= 100 && code <= 107) this.ground = code - 92;
      else if (code === 49) this.ground = null;
      else if (code === 38) this.ink = extended(numbers) ?? this.ink;
      else if (code === 48) this.ground = extended(numbers) ?? this.ground;
    }
  }
}

function extended(numbers) {
  const form = numbers.shift();
  if (form === 5) {
    const number = numbers.shift();
    return number >= 0 && number <= 255 ? of256(number) : null;
  }
  if (form === 2) {
    const [red, green, blue] = numbers.splice(0, 3);
    return blue === undefined ? null : nearest(red, green, blue);
  }
  return null;
}
