// The map: points, labels, lines and arrows; panning, zooming, choosing and the lasso.
import KDBush from "kdbush";
import { select } from "d3-selection";
import "d3-transition";
import { zoom, zoomIdentity } from "d3-zoom";
import { css } from "./colors.js";
import { FONTS, Labels } from "./labels.js";
import { pointsRenderer } from "./points.js";

const CROWD = 300; // words of a selection
const FAR = 5; // times the median distance: neighbours beyond it need not be in view
const FRAME = 64; // pixels around words that the map flies to: labels, buttons
const MARGIN = 36; // pixels around the map when it is shown whole
const MAX_FLIGHT = 40; // zoom to which the map flies by itself
const MAX_ZOOM = 400;
const MIN_ZOOM = 0.6;
const REACH = 14; // pixels from the pointer within which a point is hit
const STEP = 60; // pixels that an arrow key moves the map

/** The middle of each cluster's points. */
function centers(words) {
  const members = words.about.clusters.map(() => []);
  for (let row = 0; row < words.n; row++) members[words.clusters[row]].push(row);
  const middle = (values) => values.sort((a, b) => a - b)[values.length >> 1];
  return words.about.clusters.map((name, cluster) => ({
    name, cluster, size: members[cluster].length,
    x: middle(members[cluster].map((row) => words.x(row))),
    y: middle(members[cluster].map((row) => words.y(row))),
  })).filter(({ size }) => size).sort((a, b) => b.size - a.size);
}

const range = (values) => [Math.min(...values), Math.max(...values)];

/** What share of the square most words take, in width and in height; words lie around its middle. */
function extents(words) {
  return [0, 1].map((axis) => {
    const values = Uint16Array.from({ length: words.n }, (_, row) => words.positions[2 * row + axis]).sort();
    const spread = values[Math.floor(0.99 * (words.n - 1))] - values[Math.floor(0.01 * (words.n - 1))];
    return Math.max(0.2, Math.min(1, (1.1 * spread) / 65535));
  });
}

export class WordMap {
  highlight = { rows: [], lines: [], arrows: [], marked: [] };
  hovered = -1;
  path = null; // of the lasso while it is drawn
  isLasso = false;

  /** @param callbacks with `onChoose(row)`, `onLasso(rows)` and `onView()` */
  constructor(stage, words, callbacks) {
    this.words = words;
    this.callbacks = callbacks;
    [this.pointsCanvas, this.overlay] = stage.querySelectorAll("canvas");
    this.context = this.overlay.getContext("2d");
    this.controls = [...stage.querySelectorAll("#toolbar, #legend")];
    this.points = pointsRenderer(this.pointsCanvas, words.positions);
    this.points.onRestored = () => this.requestDraw();
    this.clusters = centers(words);
    this.extents = extents(words);
    this.labels = new Labels(this.context, words, this.clusters);
    this.index = new KDBush(words.n, 64, Uint16Array);
    for (let i = 0; i < words.n; i++) this.index.add(words.positions[2 * i], words.positions[2 * i + 1]);
    this.index.finish();
    this.transform = zoomIdentity;
    this.zoom = zoom()
      .scaleExtent([MIN_ZOOM, MAX_ZOOM])
      .filter((event) => !this.isLasso && !event.button && (!event.ctrlKey || event.type === "wheel"))
      .on("zoom", (event) => { this.transform = event.transform; this.requestDraw(); })
      .on("end", () => callbacks.onView());
    select(this.overlay).call(this.zoom).on("dblclick.zoom", null);
    this.#listen();
    new ResizeObserver(() => this.resize()).observe(stage);
  }

  resize() {
    const { clientWidth, clientHeight } = this.overlay.parentElement;
    if (clientWidth === this.width && clientHeight === this.height) return;
    const view = this.width ? this.view : [0.5, 0.5, 1];
    for (const canvas of [this.pointsCanvas, this.overlay]) {
      canvas.width = Math.round(clientWidth * devicePixelRatio);
      canvas.height = Math.round(clientHeight * devicePixelRatio);
    }
    [this.width, this.height] = [clientWidth, clientHeight];
    this.zoom.translateExtent([[-0.5 * this.width, -0.5 * this.height], [1.5 * this.width, 1.5 * this.height]]);
    this.setView(...view);
    this.draw();
  }

  setColors(colors, theme) {
    Object.assign(this, { colors, theme });
    this.points.setColors(colors);
    this.requestDraw();
  }

  /** Shows words in bold, with lines and arrows between rows, and points in rings. */
  setHighlight({ rows = [], lines = [], arrows = [], marked = [] }) {
    this.highlight = { rows, lines, arrows, marked };
    this.requestDraw();
  }

  requestDraw() {
    this.frame ??= requestAnimationFrame(() => { this.frame = undefined; this.draw(); });
  }

  // Coordinates: of the data 0 to 1, of the stage in pixels.

  get #side() {
    const [x, y] = this.extents;
    return Math.max(10, Math.min((this.width - 2 * MARGIN) / x, (this.height - 2 * MARGIN) / y));
  }

  project(x, y) {
    const { k, x: left, y: top } = this.transform;
    const side = this.#side;
    return [
      k * (side * x + (this.width - side) / 2) + left,
      k * (side * y + (this.height - side) / 2) + top,
    ];
  }

  /** The boxes of the stage that controls cover. */
  get covered() {
    return this.controls.map(({ offsetLeft: x, offsetTop: y, offsetWidth: width, offsetHeight: height }) => ({ x, y, width, height }));
  }

  toScreen(row) { return this.project(this.words.x(row), this.words.y(row)); }

  isInView(row) {
    const [x, y] = this.toScreen(row);
    return x >= 0 && y >= 0 && x <= this.width && y <= this.height;
  }

  #toData(left, top) {
    const [x, y] = this.transform.invert([left, top]);
    const side = this.#side;
    return [(x - (this.width - side) / 2) / side, (y - (this.height - side) / 2) / side];
  }

  get pointSize() {
    const density = Math.max(0.75, Math.min(1.6, (20000 / this.words.n) ** 0.15));
    return Math.min(11, 3.1 * density * this.transform.k ** 0.42);
  }

  draw() {
    if (!this.width || !this.colors) return;
    const { context, highlight, theme } = this;
    const side = this.#side * this.transform.k;
    const [left, top] = this.project(0, 0);
    const isQuiet = highlight.rows.length > 0 || highlight.marked.length > 0;
    const alpha = isQuiet ? 0.28 : 0.8;
    this.points.draw({ scale: side, left, top, size: this.pointSize, alpha });
    context.setTransform(devicePixelRatio, 0, 0, devicePixelRatio, 0, 0);
    context.clearRect(0, 0, this.width, this.height);
    paint(new CanvasPen(context), this);
    if (this.path) drawLasso(context, this.path, theme);
  }

  /** The words in view that the picture shows, for the export. */
  rowsInView() {
    const [x0, y0] = this.#toData(0, 0);
    const [x1, y1] = this.#toData(this.width, this.height);
    return this.index.range(x0 * 65535, y0 * 65535, x1 * 65535, y1 * 65535);
  }

  // Movement.

  #move(change) {
    const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
    const target = select(this.overlay);
    change(still ? target : target.transition().duration(500));
  }

  zoomBy(factor) { this.#move((target) => target.call(this.zoom.scaleBy, factor)); }
  fit() { this.#move((target) => target.call(this.zoom.transform, zoomIdentity)); }
  panBy(x, y) { select(this.overlay).call(this.zoom.translateBy, x / this.transform.k, y / this.transform.k); }

  /**
   * Moves so that the first `asked` rows are in view, with those of the others that lie near: if a
   * few lie very far away, showing them too would heap the rest on one spot.
   */
  flyTo(rows, asked) {
    const { words } = this;
    const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;
    const first = rows.slice(0, asked);
    const [x, y] = [mean(first.map((row) => words.x(row))), mean(first.map((row) => words.y(row)))];
    const distances = rows.map((row) => Math.hypot(words.x(row) - x, words.y(row) - y));
    const limit = FAR * distances.toSorted((a, b) => a - b)[rows.length >> 1];
    const near = rows.filter((_, i) => i < asked || distances[i] <= limit);
    const [left, right] = range(near.map((row) => words.x(row)));
    const [top, bottom] = range(near.map((row) => words.y(row)));
    const zooms = [(this.width - 2 * FRAME) / (right - left), (this.height - 2 * FRAME) / (bottom - top)];
    const k = Math.min(MAX_FLIGHT, ...zooms.map((zoom) => zoom / this.#side));
    this.setView((left + right) / 2, (top + bottom) / 2, Math.max(MIN_ZOOM, k), true);
  }

  setView(x, y, k, isSmooth = false) {
    const side = this.#side;
    const left = side * x + (this.width - side) / 2;
    const top = side * y + (this.height - side) / 2;
    const transform = zoomIdentity.translate(this.width / 2, this.height / 2).scale(k).translate(-left, -top);
    if (isSmooth) this.#move((target) => target.call(this.zoom.transform, transform));
    else select(this.overlay).call(this.zoom.transform, transform);
  }

  /** Position of the middle of the stage, and the zoom. */
  get view() {
    return [...this.#toData(this.width / 2, this.height / 2), this.transform.k];
  }

  // Pointer and keyboard.

  rowAt(left, top) {
    const [x, y] = this.#toData(left, top);
    const reach = (REACH / (this.#side * this.transform.k)) * 65535;
    const distance = (row) => Math.hypot(this.words.positions[2 * row] - 65535 * x, this.words.positions[2 * row + 1] - 65535 * y);
    const near = this.index.within(65535 * x, 65535 * y, reach);
    return near.reduce((best, row) => (best < 0 || distance(row) < distance(best) ? row : best), -1);
  }

  setLasso(isLasso) {
    this.isLasso = isLasso;
    this.overlay.classList.toggle("lasso", isLasso);
  }

  #listen() {
    const { overlay } = this;
    const at = (event) => {
      const box = overlay.getBoundingClientRect();
      return [event.clientX - box.left, event.clientY - box.top];
    };
    overlay.addEventListener("pointermove", (event) => {
      if (this.path) this.path.push(at(event));
      else if (event.pointerType === "touch") return;
      const row = this.path ? -1 : this.rowAt(...at(event));
      if (row === this.hovered && !this.path) return;
      this.hovered = row;
      overlay.classList.toggle("hit", row >= 0);
      this.requestDraw();
    });
    overlay.addEventListener("pointerleave", () => { this.hovered = -1; this.requestDraw(); });
    overlay.addEventListener("pointerdown", (event) => {
      this.isEndOfLasso = this.isLasso; // the click that follows chooses no word
      if (!this.isLasso || event.button) return;
      overlay.setPointerCapture(event.pointerId);
      this.path = [at(event)];
    });
    overlay.addEventListener("pointerup", () => {
      if (!this.path) return;
      const path = this.path;
      this.path = null;
      this.requestDraw();
      if (path.length > 2) this.callbacks.onLasso(this.#inside(path));
    });
    overlay.addEventListener("pointercancel", () => { this.path = null; this.requestDraw(); });
    overlay.addEventListener("click", (event) => {
      const row = this.isEndOfLasso ? -1 : this.rowAt(...at(event));
      if (row >= 0) this.callbacks.onChoose(row);
    });
    overlay.addEventListener("keydown", (event) => {
      const moves = { ArrowLeft: [STEP, 0], ArrowRight: [-STEP, 0], ArrowUp: [0, STEP], ArrowDown: [0, -STEP] };
      if (!moves[event.key] || event.ctrlKey || event.metaKey || event.altKey) return;
      this.panBy(...moves[event.key]);
      event.preventDefault();
    });
  }

  /** The words inside a path, by the even-odd rule, the most frequent first. */
  #inside(path) {
    const polygon = new Path2D();
    path.forEach(([x, y], i) => (i ? polygon.lineTo(x, y) : polygon.moveTo(x, y)));
    polygon.closePath();
    const xs = path.map(([x]) => x);
    const ys = path.map(([, y]) => y);
    const [x0, y0] = this.#toData(Math.min(...xs), Math.min(...ys));
    const [x1, y1] = this.#toData(Math.max(...xs), Math.max(...ys));
    this.context.setTransform(1, 0, 0, 1, 0, 0);
    return this.index.range(x0 * 65535, y0 * 65535, x1 * 65535, y1 * 65535)
      .filter((row) => this.context.isPointInPath(polygon, ...this.toScreen(row), "evenodd"))
      .sort((a, b) => a - b);
  }
}

export const INK = {
  light: { text: "#22252b", halo: "rgb(251 251 249 / 0.86)", accent: "#b3261e", background: "#fbfbf9" },
  dark: { text: "#eceef2", halo: "rgb(18 20 24 / 0.82)", accent: "#ff9d8a", background: "#121418" },
};

/** Draws lines, rings, arrows and labels with a pen: the screen's, or that of an SVG file. */
export function paint(pen, map) {
  const { words, highlight, theme, hovered } = map;
  const ink = INK[theme];
  for (const [from, to] of highlight.lines) {
    if (!map.isInView(from) || !map.isInView(to)) continue; // a line that leaves the window tells nothing
    pen.line(map.toScreen(from), map.toScreen(to), ink.accent, 1.2, 0.35);
  }
  const size = map.pointSize;
  const isCrowded = highlight.marked.length > CROWD; // dots with halos would hide each other
  for (const row of [...highlight.marked, ...highlight.rows]) {
    const color = css(map.colors.subarray(3 * row, 3 * row + 3));
    pen.dot(map.toScreen(row), Math.max(isCrowded ? 1.7 : 3, 0.6 * size), color, isCrowded ? "transparent" : ink.halo);
  }
  for (const [from, to] of highlight.arrows) pen.arrow(map.toScreen(from), map.toScreen(to), ink.accent);
  const wanted = highlight.rows.slice();
  if (hovered >= 0 && !wanted.includes(hovered)) {
    wanted.splice(wanted.length ? 1 : 0, 0, hovered);
    pen.dot(map.toScreen(hovered), Math.max(3.5, 0.7 * size), ink.accent, ink.halo);
  }
  if (highlight.rows.length) pen.ring(map.toScreen(highlight.rows[0]), Math.max(6, size), ink.accent);
  for (const { text, kind, x, y } of map.labels.place(map, wanted)) {
    const alpha = kind === "word" && highlight.rows.length ? 0.55 : 1;
    pen.text(text, x, y, FONTS[kind], ink.text, ink.halo, alpha);
  }
}

class CanvasPen {
  constructor(context) { this.context = context; }

  line([x0, y0], [x1, y1], color, width, alpha) {
    const { context } = this;
    Object.assign(context, { strokeStyle: color, lineWidth: width, globalAlpha: alpha });
    context.beginPath();
    context.moveTo(x0, y0);
    context.lineTo(x1, y1);
    context.stroke();
    context.globalAlpha = 1;
  }

  dot([x, y], radius, color, halo) {
    const { context } = this;
    context.beginPath();
    context.arc(x, y, radius, 0, 2 * Math.PI);
    Object.assign(context, { fillStyle: color, strokeStyle: halo, lineWidth: 2 });
    context.stroke();
    context.fill();
  }

  ring([x, y], radius, color) {
    const { context } = this;
    context.beginPath();
    context.arc(x, y, radius, 0, 2 * Math.PI);
    Object.assign(context, { strokeStyle: color, lineWidth: 2 });
    context.stroke();
  }

  arrow(from, to, color) {
    const { context } = this;
    const [start, end, left, right] = arrowPoints(from, to);
    this.line(start, end, color, 2.2, 0.9);
    context.fillStyle = color;
    context.beginPath();
    for (const point of [to, left, right]) context.lineTo(...point);
    context.fill();
  }

  text(text, x, y, { font }, color, halo, alpha) {
    const { context } = this;
    Object.assign(context, { font, textAlign: "center", textBaseline: "middle", lineJoin: "round", globalAlpha: alpha });
    Object.assign(context, { strokeStyle: halo, lineWidth: 3.5, fillStyle: color });
    context.strokeText(text, x, y);
    context.fillText(text, x, y);
    context.globalAlpha = 1;
  }
}

/** Start and end of an arrow's shaft, and the two corners of its head, whose tip is at `to`. */
export function arrowPoints([x0, y0], [x1, y1]) {
  const length = Math.hypot(x1 - x0, y1 - y0) || 1;
  const [dx, dy] = [(x1 - x0) / length, (y1 - y0) / length];
  const head = Math.min(12, length / 2);
  const [x, y] = [x1 - head * dx, y1 - head * dy];
  return [[x0, y0], [x, y], [x - 0.5 * head * dy, y + 0.5 * head * dx], [x + 0.5 * head * dy, y - 0.5 * head * dx]];
}

function drawLasso(context, path, theme) {
  context.beginPath();
  for (const point of path) context.lineTo(...point);
  context.closePath();
  Object.assign(context, { strokeStyle: INK[theme].accent, fillStyle: INK[theme].accent, lineWidth: 1.5 });
  context.globalAlpha = 0.12;
  context.fill();
  context.globalAlpha = 1;
  context.stroke();
}
