// Draws all points, by WebGL 2 or, where there is none, into the pixels of a 2D canvas.

const VERTEX = `#version 300 es
in vec2 position;
in vec3 color;
uniform vec2 scale, offset;
uniform float size;
out vec3 fill;
void main() {
  gl_Position = vec4(position * scale + offset, 0.0, 1.0);
  gl_PointSize = size;
  fill = color;
}`;

const FRAGMENT = `#version 300 es
precision highp float;
in vec3 fill;
uniform float alpha, size;
out vec4 pixel;
void main() {
  float distance = length(gl_PointCoord - 0.5) * size;
  float coverage = alpha * clamp(0.5 * size - distance + 0.25, 0.0, 1.0);
  pixel = vec4(fill * coverage, coverage);
}`;

/** Chooses how to draw: `?canvas` in the address asks for the 2D canvas. */
export function pointsRenderer(canvas, positions) {
  const wantsCanvas = new URLSearchParams(location.search).has("canvas");
  const gl = wantsCanvas ? null : canvas.getContext("webgl2", { antialias: false, premultipliedAlpha: true, preserveDrawingBuffer: false });
  return gl ? new WebGlPoints(canvas, gl, positions) : new CanvasPoints(canvas, positions);
}

class WebGlPoints {
  kind = "webgl";

  constructor(canvas, gl, positions) {
    Object.assign(this, { canvas, gl, positions });
    this.#prepare();
    canvas.addEventListener("webglcontextlost", (event) => event.preventDefault());
    canvas.addEventListener("webglcontextrestored", () => { this.#prepare(); this.setColors(this.colors); this.onRestored?.(); });
  }

  #prepare() {
    const { gl } = this;
    const program = gl.createProgram();
    for (const [kind, source] of [[gl.VERTEX_SHADER, VERTEX], [gl.FRAGMENT_SHADER, FRAGMENT]]) {
      const shader = gl.createShader(kind);
      gl.shaderSource(shader, source);
      gl.compileShader(shader);
      gl.attachShader(program, shader);
    }
    gl.linkProgram(program);
    if (!gl.getProgramParameter(program, gl.LINK_STATUS) && !gl.isContextLost()) throw new Error(gl.getProgramInfoLog(program));
    gl.useProgram(program);
    this.program = program;
    this.uniforms = Object.fromEntries(["scale", "offset", "size", "alpha"]
      .map((name) => [name, gl.getUniformLocation(program, name)]));
    this.#attribute("position", this.positions, 2, gl.UNSIGNED_SHORT);
    gl.enable(gl.BLEND);
    gl.blendFunc(gl.ONE, gl.ONE_MINUS_SRC_ALPHA);
  }

  #attribute(name, values, components, type) {
    const { gl, program } = this;
    const location = gl.getAttribLocation(program, name);
    gl.bindBuffer(gl.ARRAY_BUFFER, gl.createBuffer());
    gl.bufferData(gl.ARRAY_BUFFER, values, gl.STATIC_DRAW);
    gl.enableVertexAttribArray(location);
    gl.vertexAttribPointer(location, components, type, true, 0, 0);
  }

  setColors(colors) {
    this.colors = colors;
    this.#attribute("color", colors, 3, this.gl.UNSIGNED_BYTE);
  }

  /** Draws with x and y in pixels = `scale * position + (left, top)`, for positions of 0 to 1. */
  draw({ scale, left, top, size, alpha }) {
    const { gl, canvas, uniforms } = this;
    const ratio = devicePixelRatio;
    const [width, height] = [canvas.width / ratio, canvas.height / ratio];
    gl.viewport(0, 0, canvas.width, canvas.height);
    gl.clear(gl.COLOR_BUFFER_BIT);
    gl.uniform2f(uniforms.scale, (2 * scale) / width, (-2 * scale) / height);
    gl.uniform2f(uniforms.offset, (2 * left) / width - 1, 1 - (2 * top) / height);
    gl.uniform1f(uniforms.size, size * ratio);
    gl.uniform1f(uniforms.alpha, alpha);
    gl.drawArrays(gl.POINTS, 0, this.positions.length / 2);
  }
}

class CanvasPoints {
  kind = "canvas";

  constructor(canvas, positions) {
    Object.assign(this, { canvas, positions, context: canvas.getContext("2d") });
  }

  setColors(colors) {
    // The bytes of a pixel are red, green, blue and alpha: as one number, alpha comes first.
    this.colors = new Uint32Array(colors.length / 3);
    for (let i = 0; i < this.colors.length; i++) {
      this.colors[i] = (0xff000000 | (colors[3 * i + 2] << 16) | (colors[3 * i + 1] << 8) | colors[3 * i]) >>> 0;
    }
  }

  draw({ scale, left, top, size, alpha }) {
    const { canvas, context, positions, colors } = this;
    const { width, height } = canvas;
    if (!width || !height) return;
    const image = context.createImageData(width, height);
    const pixels = new Uint32Array(image.data.buffer);
    const ratio = devicePixelRatio;
    const side = Math.max(1, Math.round(0.9 * size * ratio));
    const opaque = (Math.round(255 * alpha) << 24) >>> 0;
    for (let i = 0; i < colors.length; i++) {
      const x = Math.round(((positions[2 * i] / 65535) * scale + left) * ratio - side / 2);
      const y = Math.round(((positions[2 * i + 1] / 65535) * scale + top) * ratio - side / 2);
      if (x < 0 || y < 0 || x + side > width || y + side > height) continue;
      const color = ((colors[i] & 0xffffff) | opaque) >>> 0;
      for (let row = y; row < y + side; row++) pixels.fill(color, row * width + x, row * width + x + side);
    }
    context.putImageData(image, 0, 0);
  }
}
