// The map as a picture: PNG from the canvases, SVG drawn anew.
import { arrowPoints, INK, paint } from "./map.js";
import { css } from "./colors.js";

export function download(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

export function savePng(map, name) {
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [map.overlay.width, map.overlay.height];
  const context = canvas.getContext("2d");
  context.fillStyle = INK[map.theme].background;
  context.fillRect(0, 0, canvas.width, canvas.height);
  map.draw(); // WebGL's picture is there until the browser shows the next one
  context.drawImage(map.pointsCanvas, 0, 0);
  context.drawImage(map.overlay, 0, 0);
  canvas.toBlob((blob) => download(blob, `${name}.png`), "image/png");
}

export function saveSvg(map, name) {
  download(new Blob([svg(map)], { type: "image/svg+xml" }), `${name}.svg`);
}

export function svg(map) {
  const { width, height } = map;
  const pen = new SvgPen();
  const radius = Math.max(0.7, map.pointSize / 2);
  const opacity = map.highlight.rows.length ? 0.28 : 0.8;
  // Points of one color are one path of dots, which keeps the file small.
  const dots = new Map();
  for (const row of map.rowsInView().sort((a, b) => a - b)) {
    const color = css(map.colors.subarray(3 * row, 3 * row + 3));
    const [x, y] = map.toScreen(row);
    dots.set(color, `${dots.get(color) ?? ""}M${x.toFixed(1)} ${y.toFixed(1)}h0`);
  }
  for (const [color, path] of dots) pen.parts.push(`<path d="${path}" stroke="${color}"/>`);
  const points = pen.parts.splice(0).join("\n");
  paint(pen, map);
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}">
<rect width="100%" height="100%" fill="${INK[map.theme].background}"/>
<g fill="none" stroke-width="${(2 * radius).toFixed(2)}" stroke-linecap="round" opacity="${opacity}">
${points}
</g>
${pen.parts.join("\n")}
</svg>
`;
}

const escaped = (text) => text.replace(/[&<>"]/g, (character) => `&#${character.charCodeAt(0)};`);
const at = (points) => points.map((point) => point.map((value) => value.toFixed(1)).join(",")).join(" ");

class SvgPen {
  parts = [];

  line(from, to, color, width, alpha) {
    this.parts.push(`<polyline points="${at([from, to])}" stroke="${color}" stroke-width="${width}" stroke-opacity="${alpha}"/>`);
  }

  dot([x, y], radius, color, halo) {
    this.parts.push(`<circle cx="${x.toFixed(1)}" cy="${y.toFixed(1)}" r="${radius.toFixed(1)}" fill="${color}" stroke="${halo}" stroke-width="1"/>`);
  }

  ring([x, y], radius, color) {
    this.parts.push(`<circle cx="${x.toFixed(1)}" cy="${y.toFixed(1)}" r="${radius.toFixed(1)}" fill="none" stroke="${color}" stroke-width="2"/>`);
  }

  arrow(from, to, color) {
    const [start, end, left, right] = arrowPoints(from, to);
    this.line(start, end, color, 2.2, 0.9);
    this.parts.push(`<polygon points="${at([to, left, right])}" fill="${color}"/>`);
  }

  text(text, x, y, { font }, color, halo, alpha) {
    const [, weight, size, family] = font.match(/^(?:(\d+) )?([\d.]+)px (.*)$/);
    this.parts.push(`<text x="${x.toFixed(1)}" y="${y.toFixed(1)}" text-anchor="middle" dominant-baseline="central" `
      + `font-family="${escaped(family)}" font-size="${size}" font-weight="${weight ?? 400}" fill="${color}" fill-opacity="${alpha}" `
      + `stroke="${halo}" stroke-width="3" stroke-linejoin="round" paint-order="stroke">${escaped(text)}</text>`);
  }
}
