// Colors of points: by cluster, frequency, norm, or all alike.
import { interpolateViridis, interpolatePlasma } from "d3-scale-chromatic";

// Hues of the same lightness and chroma, ordered so that neighbors in the list differ.
const HUES = [255, 35, 145, 320, 85, 195, 0, 115, 285, 60, 225, 345, 165, 100, 305, 15];
const LIGHTNESS = { light: [0.6, 0.5], dark: [0.74, 0.64] };

/** A color in OKLCH as red, green and blue, 0 to 255. After B. Ottosson, "A perceptual color space". */
function oklch(lightness, chroma, hue) {
  const a = chroma * Math.cos((hue * Math.PI) / 180);
  const b = chroma * Math.sin((hue * Math.PI) / 180);
  const l = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3;
  const m = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3;
  const s = (lightness - 0.0894841775 * a - 1.291485548 * b) ** 3;
  return [
    4.0767416621 * l - 3.3077115913 * m + 0.2309699292 * s,
    -1.2684380046 * l + 2.6097574011 * m - 0.3413193965 * s,
    -0.0041960863 * l - 0.7034186147 * m + 1.707614701 * s,
  ].map((value) => {
    const bounded = Math.min(1, Math.max(0, value));
    const encoded = bounded <= 0.0031308 ? 12.92 * bounded : 1.055 * bounded ** (1 / 2.4) - 0.055;
    return Math.round(255 * encoded);
  });
}

function fromCss(color) {
  const hex = color.match(/^#(..)(..)(..)$/);
  return hex ? hex.slice(1).map((part) => parseInt(part, 16)) : color.match(/\d+/g).map(Number);
}

export const css = ([red, green, blue]) => `rgb(${red} ${green} ${blue})`;

export function clusterColor(cluster, theme) {
  const round = Math.floor(cluster / HUES.length) % 2;
  return oklch(LIGHTNESS[theme][round], 0.13, HUES[cluster % HUES.length]);
}

/** Frequencies are compared by rank and on a logarithmic scale, as Zipf's law suggests. */
function frequencyColor(row, n, theme) {
  const share = Math.log(row + 1) / Math.log(n + 1);
  return fromCss(interpolateViridis(theme === "dark" ? 1 - 0.7 * share : 0.85 * share));
}

/** Colors of all words, `[n, 3]`, and what the legend shows. */
export function colorsOf(words, by, theme) {
  const colors = new Uint8Array(3 * words.n);
  const plain = theme === "dark" ? [142, 168, 230] : [62, 98, 186];
  let color = () => plain;
  let legend = [];
  if (by === "cluster") {
    const palette = words.about.clusters.map((_, i) => clusterColor(i, theme));
    color = (row) => palette[words.clusters[row]];
  } else if (by === "frequency") {
    color = (row) => frequencyColor(row, words.n, theme);
    legend = gradient((share) => frequencyColor((words.n + 1) ** share - 1, words.n, theme), "frequent", "rare");
  } else if (by === "norm") {
    const sorted = words.norms.slice().sort();
    const [low, high] = [sorted[Math.floor(0.02 * words.n)], sorted[Math.floor(0.98 * (words.n - 1))]];
    const share = (norm) => Math.min(1, Math.max(0, (norm - low) / (high - low || 1)));
    const shade = (value) => fromCss(interpolatePlasma(theme === "dark" ? 0.15 + 0.85 * value : 0.85 * value));
    color = (row) => shade(share(words.norms[row]));
    legend = gradient(shade, low.toPrecision(3), high.toPrecision(3));
  }
  for (let row = 0; row < words.n; row++) colors.set(color(row), 3 * row);
  return { colors, legend };
}

function gradient(color, from, to) {
  const stops = [0, 0.25, 0.5, 0.75, 1].map((share) => css(color(share)));
  return [{ from, to, background: `linear-gradient(to right, ${stops.join(", ")})` }];
}
