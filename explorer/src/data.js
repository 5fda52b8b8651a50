// The data that ffjax has put into the page: deflated blocks in base64.

async function inflate(id) {
  const text = atob(document.getElementById(id).textContent);
  const bytes = Uint8Array.from(text, (character) => character.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Response(stream).arrayBuffer();
}

async function json(id) {
  return JSON.parse(new TextDecoder().decode(await inflate(id)));
}

/** Row numbers of three bytes each: first all low bytes, then all middle ones, then all high ones. */
function unpackRows(bytes) {
  const n = bytes.length / 3;
  const rows = new Uint32Array(n);
  for (let i = 0; i < n; i++) rows[i] = bytes[i] | (bytes[n + i] << 8) | (bytes[2 * n + i] << 16);
  return rows;
}

/** Scores in thousandths, descending for each word: differences, split into low and high bytes. */
function unpackScores(bytes, k) {
  const n = bytes.length / 2;
  const scores = new Float32Array(n);
  for (let i = 0, last = 0; i < n; i++) {
    if (i % k === 0) last = 2000;
    last -= bytes[i] | (bytes[n + i] << 8);
    scores[i] = last / 1000 - 1;
  }
  return scores;
}

/** Everything that the page knows about the words. */
export class Words {
  static async load() {
    const ids = ["positions", "neighbors", "scores", "clusters", "codes", "codebooks", "norms"];
    const [about, words, ...blocks] = await Promise.all([
      json("data-about"), json("data-words"), ...ids.map((id) => inflate(`data-${id}`)),
    ]);
    return new Words(about, words, blocks);
  }

  constructor(about, words, [positions, neighbors, scores, clusters, codes, codebooks, norms]) {
    this.about = about;
    this.words = words;
    this.n = words.length;
    this.k = about.k;
    this.positions = new Uint16Array(positions); // x and y of each word, 0 to 65,535
    this.neighborRows = unpackRows(new Uint8Array(neighbors));
    this.neighborScores = unpackScores(new Uint8Array(scores), this.k);
    this.clusters = new Uint8Array(clusters);
    this.codes = new Uint8Array(codes); // [n, quantizers]
    this.codebooks = new Float32Array(codebooks); // [quantizers, centroids, dims of a quantizer]
    this.norms = new Float32Array(norms); // empty if all rows have one length
    this.rowOf = new Map(words.map((word, row) => [word, row]).reverse());
  }

  x(row) { return this.positions[2 * row] / 65535; }
  y(row) { return this.positions[2 * row + 1] / 65535; }

  /** The exact neighbors of a word, best first; their number may be smaller than k. */
  neighbors(row) {
    const answers = [];
    for (let i = row * this.k; i < (row + 1) * this.k; i++) {
      const neighbor = this.neighborRows[i];
      if (neighbor < this.n) answers.push({ row: neighbor, score: this.neighborScores[i] });
    }
    return answers;
  }

  /** The approximate vector of a word, at about unit length. */
  vector(row) {
    const { quantizers, centroids, width } = this.about;
    const vector = new Float32Array(quantizers * width);
    for (let q = 0; q < quantizers; q++) {
      const start = (q * centroids + this.codes[row * quantizers + q]) * width;
      vector.set(this.codebooks.subarray(start, start + width), q * width);
    }
    const length = Math.hypot(...vector) || 1;
    return vector.map((value) => value / length);
  }

  /** The approximate cosine of two words. */
  similarity(a, b) {
    const other = this.vector(b);
    return this.vector(a).reduce((sum, value, i) => sum + value * other[i], 0);
  }

  /** The words whose approximate cosine with a vector is largest, without `exclude`. */
  nearest(vector, count, exclude) {
    const { quantizers, centroids, width } = this.about;
    const tables = new Float32Array(quantizers * centroids);
    const lengths = this.#lengths ??= this.#vectorLengths();
    for (let entry = 0; entry < tables.length; entry++) {
      const query = Math.floor(entry / centroids) * width;
      let sum = 0;
      for (let d = 0; d < width; d++) sum += vector[query + d] * this.codebooks[entry * width + d];
      tables[entry] = sum;
    }
    const best = [];
    for (let row = 0, i = 0; row < this.n; row++) {
      let sum = 0;
      for (let q = 0; q < quantizers; q++) sum += tables[q * centroids + this.codes[i++]];
      const score = sum / lengths[row];
      if (best.length === count && score <= best[count - 1].score) continue;
      if (exclude.includes(row)) continue;
      const at = best.findIndex((other) => other.score < score);
      best.splice(at < 0 ? best.length : at, 0, { row, score });
      if (best.length > count) best.pop();
    }
    return best;
  }

  #lengths;

  /** The length of each approximate vector. */
  #vectorLengths() {
    const { quantizers, centroids, width } = this.about;
    const squares = new Float32Array(quantizers * centroids);
    for (let i = 0; i < this.codebooks.length; i++) squares[Math.floor(i / width)] += this.codebooks[i] ** 2;
    const lengths = new Float32Array(this.n);
    for (let row = 0, i = 0; row < this.n; row++) {
      let sum = 0;
      for (let q = 0; q < quantizers; q++) sum += squares[q * centroids + this.codes[i++]];
      lengths[row] = Math.sqrt(sum) || 1;
    }
    return lengths;
  }

  /** `a - b + c`: the vector, and the best words other than the three. */
  analogy(a, b, c, count) {
    const [left, minus, plus] = [a, b, c].map((row) => this.vector(row));
    const vector = left.map((value, i) => value - minus[i] + plus[i]);
    const length = Math.hypot(...vector) || 1;
    return this.nearest(vector.map((value) => value / length), count, [a, b, c]);
  }
}
