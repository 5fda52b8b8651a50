// Puts the page together: what is chosen, what is shown, and the address that says so.
import { clusterColor, colorsOf, css } from "./colors.js";
import { combobox } from "./combobox.js";
import { Completion } from "./complete.js";
import { Words } from "./data.js";
import { download, savePng, saveSvg, svg } from "./export.js";
import { WordMap } from "./map.js";

const get = (id) => document.getElementById(id);
const number = (value) => value.toLocaleString("en");
const countWords = (n) => `${number(n)} ${n === 1 ? "word" : "words"}`;
const MANY = 1000; // listed words of a selection; the file has all
const ANALOGIES = 10;
const TOOLS = ["word", "analogy", "compare", "selection"];
const COLORS = { cluster: "Clusters", frequency: "Frequency", norm: "Norm", none: "None" };

let words;
let map;
let completion;
const state = { tool: "word", word: -1, analogy: [-1, -1, -1], compare: [-1, -1], color: "cluster", theme: null };
let selection = [];

// Elements.

/** An element with attributes; functions are listeners of events. */
function element(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") node.addEventListener(name, value);
    else if (value !== undefined) node.setAttribute(name, value);
  }
  node.append(...children);
  return node;
}

const heading = (text) => element("h2", {}, text);
const note = (...text) => element("p", { class: "note" }, ...text);
const wordButton = (row) => element("button", { class: "word", click: () => chooseWord(row) }, words.words[row]);

/** Words with bars for scores of 0 to 1. */
function bars(answers, isShared = () => false) {
  const item = ({ row, score }) => {
    const line = element("li", { class: isShared(row) ? "shared" : undefined }, wordButton(row),
      element("span", { class: "bar", "aria-hidden": "true" }, element("span")),
      element("span", { class: "score" }, score.toFixed(3)));
    line.querySelector(".bar span").style.width = `${Math.max(0, 100 * score).toFixed(1)}%`;
    line.addEventListener("pointerenter", () => { map.hovered = row; map.requestDraw(); });
    line.addEventListener("pointerleave", () => { map.hovered = -1; map.requestDraw(); });
    return line;
  };
  return element("ol", { class: "bars" }, ...answers.map(item));
}

function say(text) {
  get("status").textContent = text;
  get("status").classList.toggle("shown", Boolean(text));
}

function sayUnknown(text) {
  const { total, title } = words.about;
  const among = total > words.n ? `the ${number(words.n)} of ${number(total)} words that this page shows` : `the ${countWords(words.n)} of ${title}`;
  say(`“${text}” is not among ${among}.`);
}

// Answers.

function showWord(row) {
  if (row < 0) {
    const { projection, clusters } = words.about;
    get("word-answer").replaceChildren(
      note(`Each point is a word; words that are used alike lie close together${projection && ` (${projection})`}. Click a point or search for a word to see its neighbours.`),
      heading("Clusters"),
      element("ul", { class: "clusters" }, ...clusterList(clusters)));
    return;
  }
  const answers = words.neighbors(row);
  const facts = [`rank ${number(row + 1)} of ${number(words.about.total)}`, `cluster “${words.about.clusters[words.clusters[row]]}”`];
  if (words.norms.length) facts.push(`norm ${words.norms[row].toPrecision(4)}`);
  get("word-answer").replaceChildren(
    element("h2", { class: "chosen" }, words.words[row]),
    note(facts.join(" · ")),
    element("div", { class: "actions" },
      element("button", { click: () => { setTool("compare"); setCompare([row, -1]); get("compare-b").focus(); } }, "Compare with …"),
      element("button", { click: () => { setTool("analogy"); setAnalogy([row, -1, -1]); get("analogy-b").focus(); } }, "Start an analogy")),
    element("h3", {}, `${answers.length} nearest words `, element("small", {}, "by cosine, exact")),
    answers.length ? bars(answers) : note(words.n > 1
      ? "This word has no direction, since its vector is zero." : "The page shows no other word."));
}

function clusterList(clusters) {
  return map.clusters.map(({ cluster, size, x, y }) => {
    const dot = element("span", { class: "dot" });
    dot.style.background = css(clusterColor(cluster, map.theme));
    const go = () => { setTool("word"); map.setView(x, y, 5, true); };
    return element("li", {}, element("button", { click: go }, dot, clusters[cluster], element("small", {}, number(size))));
  });
}

function showAnalogy([a, b, c]) {
  if (Math.min(a, b, c) < 0) {
    get("analogy-answer").replaceChildren(
      note("The first word is to the second as the answer is to the third."), ...examples());
    return [];
  }
  const answers = words.analogy(a, b, c, ANALOGIES);
  if (!answers.length) {
    get("analogy-answer").replaceChildren(note("This page has no other words to answer with."));
    return [];
  }
  const [left, minus, plus] = [a, b, c].map((row) => words.words[row]);
  get("analogy-answer").replaceChildren(
    element("p", { class: "sentence" }, element("b", {}, left), " is to ", element("b", {}, minus), " as ",
      element("b", { class: "answer" }, words.words[answers[0].row]), " is to ", element("b", {}, plus)),
    bars(answers),
    note("Approximate: this page holds quantized vectors. ffjax answers analogies exactly."));
  return answers;
}

function examples() {
  const known = [["berlin", "germany", "france"], ["king", "man", "woman"], ["walking", "walk", "swim"], ["windows", "microsoft", "google"]]
    .map((three) => three.map((word) => words.rowOf.get(word) ?? -1))
    .filter((rows) => Math.min(...rows) >= 0);
  if (!known.length) return [];
  const text = (rows) => rows.map((row) => words.words[row]);
  const items = known.map((rows) => element("li", {},
    element("button", { click: () => setAnalogy(rows) }, `${text(rows)[0]} − ${text(rows)[1]} + ${text(rows)[2]}`)));
  return [element("h3", {}, "For example"), element("ul", { class: "examples" }, ...items)];
}

function showCompare([a, b]) {
  if (Math.min(a, b) < 0) {
    get("compare-answer").replaceChildren(note("The neighbours of two words side by side; those that they share are marked."));
    return;
  }
  const lists = [a, b].map((row) => words.neighbors(row));
  const sets = lists.map((answers) => new Set(answers.map(({ row }) => row)));
  const shared = [...sets[0]].filter((row) => sets[1].has(row)).length;
  const exact = lists[0].find(({ row }) => row === b) ?? lists[1].find(({ row }) => row === a);
  const score = exact ? exact.score.toFixed(3) : `about ${words.similarity(a, b).toFixed(2)}`;
  get("compare-answer").replaceChildren(
    element("p", { class: "sentence" }, "Cosine ", element("b", { class: "answer" }, score), `, ${shared} of ${words.k} neighbours shared`),
    element("div", { class: "columns" }, ...[a, b].map((row, i) =>
      element("div", {}, element("h2", { class: "small" }, words.words[row]), bars(lists[i], (other) => sets[1 - i].has(other))))),
    exact ? "" : note("The cosine is approximate, from quantized vectors; the neighbours are exact."));
}

function showSelection() {
  if (!selection.length) {
    get("selection-answer").replaceChildren(
      note("Draw around words on the map to list them."),
      element("button", { click: () => setLasso(true) }, "Draw a lasso"));
    return;
  }
  const items = selection.slice(0, MANY).map((row) => element("li", {}, wordButton(row)));
  get("selection-answer").replaceChildren(
    heading(countWords(selection.length)),
    element("div", { class: "actions" },
      element("button", { id: "copy", click: copySelection }, "Copy"),
      element("button", { id: "csv", click: saveCsv }, "Save as CSV"),
      element("button", { click: () => setSelection([]) }, "Clear")),
    element("ul", { class: "selected" }, ...items),
    selection.length > MANY ? note(`The first ${number(MANY)} are listed; copies and files have all.`) : "");
}

async function copySelection() {
  const text = selection.map((row) => words.words[row]).join("\n");
  try {
    await navigator.clipboard.writeText(text);
    say("Copied.");
  } catch {
    say("The browser does not let this page copy. Save as CSV instead.");
  }
}

function saveCsv() {
  const quoted = (text) => (/[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
  const lines = selection.map((row) => [quoted(words.words[row]), row + 1, quoted(words.about.clusters[words.clusters[row]]),
    words.x(row).toFixed(5), words.y(row).toFixed(5)].join(","));
  const text = ["word,rank,cluster,x,y", ...lines, ""].join("\r\n");
  download(new Blob([text], { type: "text/csv" }), "words.csv");
}

// State.

function chooseWord(row) {
  setTool("word");
  state.word = row;
  get("search").value = row < 0 ? "" : words.words[row];
  update(true);
  if (row >= 0) {
    flyToHighlight();
    say(`${words.words[row]}: nearest ${words.neighbors(row).slice(0, 3).map((answer) => words.words[answer.row]).join(", ")}`);
  }
}

function flyToHighlight() {
  const { rows } = map.highlight;
  const asked = { word: 1, analogy: 4, compare: 2 }[state.tool]; // words that must be in view
  if (rows.length) map.flyTo(rows, asked);
}

function setAnalogy(rows) {
  state.analogy = rows;
  ["a", "b", "c"].forEach((name, i) => { get(`analogy-${name}`).value = rows[i] < 0 ? "" : words.words[rows[i]]; });
  update(true);
  flyToHighlight();
}

function setCompare(rows) {
  state.compare = rows;
  ["a", "b"].forEach((name, i) => { get(`compare-${name}`).value = rows[i] < 0 ? "" : words.words[rows[i]]; });
  update(true);
  flyToHighlight();
}

function setSelection(rows) {
  selection = rows;
  setTool("selection");
  say(rows.length ? `${countWords(rows.length)} selected` : "");
}

function setTool(tool) {
  state.tool = tool;
  for (const name of TOOLS) {
    get(`tab-${name}`).setAttribute("aria-selected", String(name === tool));
    get(`tab-${name}`).tabIndex = name === tool ? 0 : -1;
    get(`view-${name}`).hidden = name !== tool;
  }
  update(true);
}

function setLasso(isOn) {
  map.setLasso(isOn);
  get("lasso").setAttribute("aria-pressed", String(isOn));
}

function setColor() {
  const theme = state.theme ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
  document.documentElement.dataset.theme = theme;
  get("color").value = state.color;
  const { colors, legend } = colorsOf(words, state.color, theme);
  map.setColors(colors, theme);
  get("key").replaceChildren(...legend.map(({ from, to, background }) => {
    const gradient = element("span", { class: "gradient" });
    gradient.style.background = background;
    return element("span", {}, from, gradient, to);
  }));
}

/** Shows the state; `isStep` when going back should return to what was before. */
function update(isStep) {
  const { tool, word, analogy, compare } = state;
  showWord(word);
  const answers = showAnalogy(analogy);
  showCompare(compare);
  showSelection();
  if (tool === "word" && word >= 0) {
    const rows = words.neighbors(word).map((answer) => answer.row);
    map.setHighlight({ rows: [word, ...rows], lines: rows.map((row) => [word, row]) });
  } else if (tool === "analogy" && answers.length) {
    const [a, b, c] = analogy;
    const answer = answers[0].row;
    map.setHighlight({ rows: [answer, c, a, b], arrows: [[b, a], [c, answer]] });
  } else if (tool === "compare" && Math.min(...compare) >= 0) {
    const lines = compare.flatMap((row) => words.neighbors(row).map((answer) => [row, answer.row]));
    map.setHighlight({ rows: [...new Set([...compare, ...lines.map(([, row]) => row)])], lines });
  } else if (tool === "selection") {
    map.setHighlight({ marked: selection.slice(0, 20_000) });
  } else {
    map.setHighlight({});
  }
  writeAddress(isStep);
}

// The address: #word=berlin&view=0.5,0.5,2

const list = (rows) => rows.map((row) => words.words[row] ?? "");

function writeAddress(isStep) {
  if (get("app").ariaBusy) return; // the address has not been read yet
  const { tool, word, analogy, compare, color, theme } = state;
  const fields = new URLSearchParams();
  if (tool === "word" && word >= 0) fields.set("word", words.words[word]);
  if (tool !== "word") fields.set("tool", tool);
  const lists = { analogy, compare };
  if (lists[tool]?.some((row) => row >= 0)) for (const text of list(lists[tool])) fields.append(tool, text);
  if (color !== "cluster") fields.set("color", color);
  if (theme) fields.set("theme", theme);
  const [x, y, k] = map.view;
  if (k !== 1) fields.set("view", [x.toFixed(4), y.toFixed(4), k.toPrecision(3)].join(","));
  const address = `#${fields}`;
  const strip = (text) => text.replace(/&?view=[^&]*/, "");
  if (address === location.hash) return;
  const isNew = isStep && strip(address) !== strip(location.hash);
  history[isNew ? "pushState" : "replaceState"](null, "", address);
}

function readAddress() {
  const fields = new URLSearchParams(location.hash.slice(1));
  const row = (text) => words.rowOf.get(text) ?? -1;
  const rows = (name, n) => Array.from({ length: n }, (_, i) => row(fields.getAll(name)[i]));
  const tool = fields.get("tool");
  const word = fields.get("word");
  Object.assign(state, {
    tool: TOOLS.includes(tool) ? tool : "word", word: row(word),
    analogy: rows("analogy", 3), compare: rows("compare", 2),
    color: COLORS[fields.get("color")] ? fields.get("color") : "cluster",
    theme: ["light", "dark"].includes(fields.get("theme")) ? fields.get("theme") : null,
  });
  if (state.color === "norm" && !words.norms.length) state.color = "cluster";
  const view = fields.get("view")?.split(",").map(Number);
  setColor();
  for (const [i, name] of ["a", "b", "c"].entries()) get(`analogy-${name}`).value = list(state.analogy)[i];
  for (const [i, name] of ["a", "b"].entries()) get(`compare-${name}`).value = list(state.compare)[i];
  get("search").value = list([state.word])[0];
  if (view?.length === 3 && view.every(Number.isFinite)) map.setView(...view);
  setTool(state.tool);
  if (!view) flyToHighlight();
  if (word && state.word < 0) sayUnknown(word);
}

// Start.

function prepareInputs() {
  const complete = (text) => completion.complete(text);
  const make = (id, choose) => combobox(get(id), complete, words.words, choose, (text) => {
    if (id !== "search") choose(-1); // no answer stays that belongs to another word
    get(id).value = text;
    sayUnknown(text);
  });
  make("search", chooseWord);
  get("search").addEventListener("search", () => { if (!get("search").value) chooseWord(-1); });
  ["a", "b", "c"].forEach((name, i) => make(`analogy-${name}`, (row) => setAnalogy(state.analogy.with(i, row))));
  ["a", "b"].forEach((name, i) => make(`compare-${name}`, (row) => setCompare(state.compare.with(i, row))));
}

function prepareButtons() {
  const on = (id, action) => get(id).addEventListener("click", action);
  for (const tool of TOOLS) on(`tab-${tool}`, () => setTool(tool));
  get("tabs").addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    setTool(TOOLS[(TOOLS.indexOf(state.tool) + step + TOOLS.length) % TOOLS.length]);
    get(`tab-${state.tool}`).focus();
  });
  on("zoom-in", () => map.zoomBy(1.7));
  on("zoom-out", () => map.zoomBy(1 / 1.7));
  on("fit", () => map.fit());
  on("lasso", () => setLasso(!map.isLasso));
  on("theme", () => {
    state.theme = map.theme === "dark" ? "light" : "dark";
    setColor();
    update(false);
  });
  on("export-png", () => savePng(map, "words"));
  on("export-svg", () => saveSvg(map, "words"));
  const choices = Object.entries(COLORS).filter(([name]) => name !== "norm" || words.norms.length);
  get("color").append(...choices.map(([value, text]) => element("option", { value }, text)));
  get("color").addEventListener("change", () => { state.color = get("color").value; setColor(); writeAddress(true); });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { setColor(); update(false); });
}

function onKey(event) {
  const isTyping = event.target instanceof HTMLInputElement || event.target instanceof HTMLSelectElement;
  if (event.key === "Escape" && map.isLasso) setLasso(false);
  if (isTyping || event.ctrlKey || event.metaKey || event.altKey) return;
  const actions = {
    "/": () => { setTool("word"); get("search").focus(); },
    "+": () => map.zoomBy(1.7), "=": () => map.zoomBy(1.7), "-": () => map.zoomBy(1 / 1.7),
    0: () => map.fit(), l: () => setLasso(!map.isLasso),
    Escape: () => { if (state.tool === "word" && state.word >= 0) chooseWord(-1); },
  };
  if (!actions[event.key]) return;
  event.preventDefault();
  actions[event.key]();
}

function title() {
  const { title: name, total, dims, projection } = words.about;
  get("title").textContent = name;
  const count = total > words.n ? `${number(words.n)} of ${number(total)} words` : countWords(words.n);
  get("subtitle").textContent = [count, `${dims} ${dims === 1 ? "dimension" : "dimensions"}`, projection].filter(Boolean).join(" · ");
}

async function start() {
  words = await Words.load();
  title();
  completion = new Completion(words.words);
  map = new WordMap(get("stage"), words, {
    onChoose: chooseWord,
    onLasso: (rows) => { setLasso(false); setSelection(rows); },
    onView: () => writeAddress(false),
  });
  map.resize();
  window.explorer = { words, map, completion, state, svg: () => svg(map) }; // for tests and the curious
  prepareInputs();
  prepareButtons();
  get("app").ariaBusy = null;
  readAddress();
  addEventListener("popstate", readAddress);
  addEventListener("keydown", onKey);
}

start().catch((error) => {
  say(`This page could not be opened: ${error.message}`);
  throw error;
});
