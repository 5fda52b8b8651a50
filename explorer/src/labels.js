// Chooses labels that don't overlap: those asked for, names of clusters, then words by frequency.

const CELL = 6; // pixels; boxes are tested on a grid of this width
const EDGE = 4; // pixels between a label and the edge
const LONGEST = 32; // characters of a label
const PIXELS_PER_LABEL = 9000; // of the stage, so that points remain visible

class Grid {
  constructor(width, height) {
    this.columns = Math.ceil(width / CELL);
    this.rows = Math.ceil(height / CELL);
    this.taken = new Uint8Array(this.columns * this.rows);
  }

  /** Takes a box, if it is free; returns whether it did. */
  take({ x, y, width, height }) {
    const left = Math.max(0, Math.floor(x / CELL));
    const right = Math.min(this.columns - 1, Math.floor((x + width) / CELL));
    const top = Math.max(0, Math.floor(y / CELL));
    const bottom = Math.min(this.rows - 1, Math.floor((y + height) / CELL));
    for (let row = top; row <= bottom; row++) {
      for (let i = row * this.columns + left; i <= row * this.columns + right; i++) if (this.taken[i]) return false;
    }
    for (let row = top; row <= bottom; row++) {
      this.taken.fill(1, row * this.columns + left, row * this.columns + right + 1);
    }
    return true;
  }
}

/** Chooses labels for a view; remembers the widths of texts. */
export class Labels {
  #widths = new Map();

  constructor(context, words, clusters) {
    Object.assign(this, { context, words, clusters });
  }

  /**
   * Labels as `{text, x, y, kind, row}`, with x and y at the middle of the label.
   * @param view with `width`, `height`, `covered`, `transform`, `pointSize`, `project(x, y)` and `toScreen(row)`
   * @param {number[]} wanted rows whose labels come first
   */
  place(view, wanted) {
    const grid = new Grid(view.width, view.height);
    for (const box of view.covered) grid.take(box);
    const labels = [];
    const offset = 0.5 * view.pointSize + 2;
    const place = (full, kind, [x, y], row, below) => {
      const text = full.length > LONGEST ? `${full.slice(0, LONGEST - 1)}…` : full;
      const [width, height] = [this.#width(text, kind), FONTS[kind].height];
      if (x < 0 || y < 0 || x > view.width || y > view.height) return;
      const inside = (center) => Math.max(width / 2 + EDGE, Math.min(view.width - width / 2 - EDGE, center));
      const side = width / 2 + offset + 2;
      const tops = below ? [y - offset - height, y + offset] : [y - height / 2, y - 1.5 * height, y + 0.5 * height];
      const choices = tops.map((top) => [x, top]);
      if (kind === "chosen" || kind === "neighbor") choices.push([x + side, y - height / 2], [x - side, y - height / 2]);
      for (const [center, top] of choices) {
        if (top < 0 || top + height > view.height) continue;
        const middle = inside(center); // a label at the side moves in
        if (!grid.take({ x: middle - width / 2 - 3, y: top - 1, width: width + 6, height: height + 2 })) continue;
        labels.push({ text, kind, row, x: middle, y: top + height / 2 });
        return;
      }
    };
    wanted.forEach((row, i) => place(this.words.words[row], i ? "neighbor" : "chosen", view.toScreen(row), row, true));
    if (view.transform.k < 5 && !wanted.length) {
      for (const { name, x, y } of this.clusters) place(name.toUpperCase(), "cluster", view.project(x, y), -1, false);
    }
    const limit = labels.length + (view.width * view.height) / PIXELS_PER_LABEL * Math.min(1, 0.3 + 0.25 * view.transform.k) * (wanted.length ? 0.5 : 1);
    const chosen = new Set(wanted);
    for (let row = 0; row < this.words.n && labels.length < limit; row++) {
      if (!chosen.has(row)) place(this.words.words[row], "word", view.toScreen(row), row, true);
    }
    return labels;
  }

  #width(text, kind) {
    const key = `${kind} ${text}`;
    let width = this.#widths.get(key);
    if (width === undefined) {
      this.context.font = FONTS[kind].font;
      width = this.context.measureText(text).width;
      this.#widths.set(key, width);
    }
    return width;
  }
}

const FAMILY = 'system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "DejaVu Sans", sans-serif';
export const FONTS = {
  chosen: { font: `700 15px ${FAMILY}`, height: 18 },
  neighbor: { font: `600 12px ${FAMILY}`, height: 15 },
  cluster: { font: `600 13px ${FAMILY}`, height: 17 },
  word: { font: `11px ${FAMILY}`, height: 14 },
};
