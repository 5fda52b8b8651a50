// Completion: words that begin with what was typed, then those that contain it, then those that
// differ from it by one letter.

const LIMIT = 12;

export class Completion {
  constructor(words) {
    this.words = words;
    this.lower = words.map((word) => word.toLowerCase());
    this.sorted = Uint32Array.from(words.keys()).sort((a, b) => {
      const [left, right] = [this.lower[a], this.lower[b]];
      return left < right ? -1 : left > right ? 1 : a - b;
    });
  }

  /** Rows of at most `LIMIT` words, the most frequent first within each kind. */
  complete(text) {
    const query = text.trim().toLowerCase();
    if (!query) return [];
    const rows = new Set(this.#withPrefix(query));
    const add = (matches) => {
      for (let row = 0; row < this.words.length && rows.size < LIMIT; row++) {
        if (matches(this.lower[row])) rows.add(row);
      }
    };
    if (query.length > 1) add((word) => word.includes(query));
    if (query.length > 2) add((word) => differsByOne(word, query));
    return [...rows];
  }

  #withPrefix(query) {
    let low = 0;
    let high = this.sorted.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.lower[this.sorted[middle]] < query) low = middle + 1;
      else high = middle;
    }
    const rows = [];
    while (low < this.sorted.length && this.lower[this.sorted[low]].startsWith(query)) {
      rows.push(this.sorted[low++]);
    }
    const isExact = (row) => (this.lower[row] === query ? 0 : 1);
    return rows.sort((a, b) => isExact(a) - isExact(b) || a - b).slice(0, LIMIT);
  }
}

/** Whether one insertion, deletion, substitution or swap of neighbors turns one word into the other. */
export function differsByOne(a, b) {
  if (Math.abs(a.length - b.length) > 1 || a === b) return false;
  let start = 0;
  while (start < a.length && a[start] === b[start]) start++;
  let endA = a.length - 1;
  let endB = b.length - 1;
  while (endA >= start && endB >= start && a[endA] === b[endB]) [endA, endB] = [endA - 1, endB - 1];
  const [restA, restB] = [a.slice(start, endA + 1), b.slice(start, endB + 1)];
  if (restA.length <= 1 && restB.length <= 1) return true;
  return restA.length === 2 && restA[0] === restB[1] && restA[1] === restB[0];
}
