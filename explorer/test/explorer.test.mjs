// The page in headless Chromium: node --test, with PAGE naming a page of the demo embeddings.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath, pathToFileURL } from "node:url";
import axe from "axe-core";
import { chromium } from "playwright-core";
import { differsByOne } from "../src/complete.js";

const PAGE = pathToFileURL(process.env.PAGE).href;
const SCREENSHOTS = fileURLToPath(new URL("../screenshots/", import.meta.url));
const CHROMIUM = process.env.CHROMIUM ?? "/usr/bin/chromium";
const FLAGS = ["--no-sandbox", "--disable-quic", "--no-first-run", "--disable-background-networking",
  "--disable-component-update", "--disable-sync", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"];
const DESKTOP = { width: 1280, height: 800 };
const PHONE = { width: 390, height: 844 };

let browser;
before(async () => {
  mkdirSync(SCREENSHOTS, { recursive: true });
  browser = await chromium.launch({ executablePath: CHROMIUM, args: FLAGS });
});
after(() => browser.close());

/** Opens the page, runs a test, and checks that it made no request and no error. */
async function visit({ hash = "", query = "", name, ...options }, run) {
  const context = await browser.newContext({ viewport: DESKTOP, reducedMotion: "reduce", ...options });
  const page = await context.newPage();
  const problems = [];
  const requests = [];
  page.on("console", (message) => ["error", "warning"].includes(message.type()) && problems.push(message.text()));
  page.on("pageerror", (error) => problems.push(error.stack));
  page.on("request", (request) => requests.push(request.url()));
  await page.goto(PAGE + query + hash);
  await page.waitForSelector("#app:not([aria-busy])");
  await run(page);
  if (name) await page.screenshot({ path: join(SCREENSHOTS, `${name}.png`) });
  assert.deepEqual(problems, []);
  assert.deepEqual(requests.filter((url) => !/^(file|data|blob):/.test(url)), []);
  await context.close();
}

const texts = (page, selector) => page.locator(selector).allTextContents();
const state = (page) => page.evaluate(() => explorer.state);
const labels = (page) => page.evaluate(() => explorer.map.labels.place(explorer.map, []).length);
const position = (page, word) => page.evaluate((text) => {
  const { map, words } = explorer;
  return map.toScreen(words.rowOf.get(text));
}, word);
const frame = (page) => page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))));

test("the page in the package is what the sources make", () => {
  const folder = mkdtempSync(join(tmpdir(), "explorer-"));
  const built = join(folder, "explorer.html");
  execFileSync("node", [fileURLToPath(new URL("../build.mjs", import.meta.url)), built]);
  const packaged = fileURLToPath(new URL("../../ffjax/data/explorer.html", import.meta.url));
  assert.equal(readFileSync(built, "utf8"), readFileSync(packaged, "utf8"));
});

test("words that differ by one letter", () => {
  for (const [a, b, expected] of [["tea", "teas", true], ["tea", "sea", true], ["tea", "eta", true],
    ["tea", "tea", false], ["tea", "ate", false], ["tea", "", false], ["a", "", true]]) {
    assert.equal(differsByOne(a, b), expected, `${a} ${b}`);
  }
});

test("a search completes, chooses and shows exact neighbors", () => visit({ name: "word" }, async (page) => {
  await page.keyboard.press("/");
  await page.keyboard.type("berli");
  assert.equal((await texts(page, "#field-search [role=option]"))[0], "berlin");
  await page.keyboard.press("ArrowDown");
  await page.keyboard.press("Enter");
  assert.equal(await page.locator("#word-answer h2").textContent(), "berlin");
  assert.deepEqual((await texts(page, "#word-answer .word")).slice(0, 3), ["munich", "vienna", "hamburg"]);
  assert.equal((await texts(page, "#word-answer .score"))[0], "0.799");
  assert.equal((await texts(page, "#word-answer .word")).length, 20);
  assert.match(page.url(), /#word=berlin/);
}));

test("a misspelled word completes, and an unknown word is said to be unknown", () => visit({}, async (page) => {
  await page.fill("#search", "coffe");
  assert.ok((await texts(page, "#field-search [role=option]")).includes("coffee"));
  await page.fill("#search", "kofffee");
  await page.keyboard.press("Enter");
  assert.match(await page.locator("#status").textContent(), /“kofffee” is not among the 40,000 words/);
}));

test("how long searches take", () => visit({}, async (page) => {
  const times = await page.evaluate(() => ["a", "ber", "tion", "xqz", "coffe", "1", "zzzzzz"].map((text) => {
    const start = performance.now();
    explorer.completion.complete(text);
    return performance.now() - start;
  }));
  console.log(`search: at most ${Math.max(...times).toFixed(1)} ms`);
}));

test("a click on a point chooses its word", () => visit({ hash: "#word=paris" }, async (page) => {
  await page.click("#fit");
  const [x, y] = await position(page, "paris");
  const box = await page.locator("#overlay").boundingBox();
  await page.mouse.click(box.x + x, box.y + y);
  const distance = await page.evaluate(() => {
    const { map, words, state } = explorer;
    const [chosen, aimed] = [state.word, words.rowOf.get("paris")];
    const side = Math.min(map.width, map.height); // of the map when everything is shown, or less
    return side * Math.hypot(words.x(chosen) - words.x(aimed), words.y(chosen) - words.y(aimed));
  });
  assert.ok(distance < 5, distance);
}));

test("an analogy is answered, drawn and said to be approximate", () => visit({ name: "analogy" }, async (page) => {
  await page.click("#tab-analogy");
  for (const [id, word] of [["a", "berlin"], ["b", "germany"], ["c", "france"]]) {
    await page.fill(`#analogy-${id}`, word);
    await page.press(`#analogy-${id}`, "Enter");
  }
  assert.equal((await texts(page, "#analogy-answer .word"))[0], "paris");
  assert.match(await page.locator("#analogy-answer").textContent(), /Approximate/);
  const arrows = await page.evaluate(() => explorer.map.highlight.arrows.map((arrow) => arrow.map((row) => explorer.words.words[row])));
  assert.deepEqual(arrows, [["germany", "berlin"], ["france", "paris"]]);
}));

test("two words are compared", () => visit({ hash: "#tool=compare&compare=tea&compare=coffee", name: "compare" }, async (page) => {
  assert.equal(await page.locator("#compare-answer .answer").textContent(), "0.773");
  assert.ok((await texts(page, "#compare-answer .shared .word")).includes("drink"));
  const [inView, all] = await page.evaluate(() => {
    const { map } = explorer;
    return [map.highlight.rows.filter((row) => map.isInView(row)).length, map.highlight.rows.length];
  });
  assert.ok(inView > 0.8 * all, `${inView} of ${all}`);
}));

test("a lasso lists words and saves them", () => visit({ acceptDownloads: true, name: "lasso" }, async (page) => {
  await page.click("#lasso");
  const box = await page.locator("#overlay").boundingBox();
  const [x, y] = [box.x + box.width / 2, box.y + box.height / 2];
  await page.mouse.move(x - 60, y - 60);
  await page.mouse.down();
  for (const [dx, dy] of [[60, -60], [60, 60], [-60, 60]]) await page.mouse.move(x + dx, y + dy, { steps: 4 });
  await page.mouse.up();
  const count = Number((await page.locator("#selection-answer h2").textContent()).replace(/\D/g, ""));
  const expected = await page.evaluate(([width, height]) => {
    const { map, words } = explorer;
    let inside = 0;
    for (let row = 0; row < words.n; row++) {
      const [a, b] = map.toScreen(row);
      if (Math.abs(a - width / 2) < 60 && Math.abs(b - height / 2) < 60) inside++;
    }
    return inside;
  }, [box.width, box.height]);
  assert.ok(count > 100 && Math.abs(count - expected) <= 0.02 * expected, `${count} ${expected}`);
  const [download] = await Promise.all([page.waitForEvent("download"), page.click("#csv")]);
  const lines = readFileSync(await download.path(), "utf8").trim().split("\r\n");
  assert.equal(lines[0], "word,rank,cluster,x,y");
  assert.equal(lines.length, count + 1);
}));

test("labels don't overlap, and there are more as one zooms in", () => visit({ name: "map" }, async (page) => {
  const share = async () => (await labels(page)) / (await page.evaluate(() => explorer.map.rowsInView().length));
  const before = await share();
  const overlaps = await page.evaluate(() => {
    const { map } = explorer;
    const boxes = map.labels.place(map, []).map(({ text, kind, x, y }) => {
      map.context.font = { word: "11px sans-serif", cluster: "600 13px sans-serif" }[kind];
      const width = map.context.measureText(text).width * 0.9;
      return [x - width / 2, y - 5, x + width / 2, y + 5];
    });
    let count = 0;
    for (const [i, a] of boxes.entries()) {
      for (const b of boxes.slice(i + 1)) if (a[0] < b[2] && b[0] < a[2] && a[1] < b[3] && b[1] < a[3]) count++;
    }
    return count;
  });
  assert.equal(overlaps, 0);
  await page.mouse.move(500, 400);
  for (let i = 0; i < 8; i++) await page.mouse.wheel(0, -300);
  await frame(page);
  assert.ok((await page.evaluate(() => explorer.map.transform.k)) > 3);
  assert.ok((await share()) > 2 * before);
}));

test("the address holds the state: reloading and going back restore it", () => visit({}, async (page) => {
  await page.fill("#search", "tea");
  await page.press("#search", "Enter");
  await page.fill("#search", "jazz");
  await page.press("#search", "Enter");
  await page.selectOption("#color", "frequency");
  const view = await page.evaluate(() => explorer.map.view);
  await page.waitForTimeout(100);
  await page.reload();
  await page.waitForSelector("#app:not([aria-busy])");
  assert.equal(await page.locator("#word-answer h2").textContent(), "jazz");
  assert.equal((await state(page)).color, "frequency");
  const again = await page.evaluate(() => explorer.map.view);
  view.forEach((value, i) => assert.ok(Math.abs(value - again[i]) < 0.02 * Math.max(1, value), `${view} ${again}`));
  await page.goBack();
  await page.goBack();
  assert.equal(await page.locator("#word-answer h2").textContent(), "tea");
}));

test("dark mode follows the system and can be switched", () => visit({ colorScheme: "dark", name: "dark" }, async (page) => {
  const background = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  assert.equal(await background(), "rgb(18, 20, 24)");
  await page.click("#theme");
  assert.equal(await background(), "rgb(251, 251, 249)");
  await page.click("#theme");
}));

test("keys move the map", () => visit({}, async (page) => {
  await page.focus("#overlay");
  const before = await page.evaluate(() => explorer.map.view);
  await page.keyboard.press("ArrowRight");
  await page.keyboard.press("+");
  const [x, , k] = await page.evaluate(() => explorer.map.view);
  assert.ok(x > before[0] && k > before[2]);
}));

test("pictures are saved", () => visit({ hash: "#word=tea", acceptDownloads: true }, async (page) => {
  for (const [id, start] of [["png", "\x89PNG"], ["svg", "<svg "]]) {
    const [download] = await Promise.all([page.waitForEvent("download"), page.click(`#export-${id}`)]);
    assert.equal(readFileSync(await download.path()).subarray(0, start.length).toString("latin1"), start);
  }
  const isXml = await page.evaluate(() => !new DOMParser().parseFromString(explorer.svg(), "image/svg+xml").querySelector("parsererror"));
  assert.ok(isXml);
}));

test("a phone shows map and panel without scrolling sideways", () => visit({ viewport: PHONE, hasTouch: true, hash: "#word=coffee", name: "phone" }, async (page) => {
  assert.equal(await page.evaluate(() => document.documentElement.scrollWidth), PHONE.width);
  const stage = await page.locator("#stage").boundingBox();
  assert.ok(stage.height > 300, stage.height);
  const [x, y] = await position(page, "coffee");
  assert.ok(x > 0 && x < stage.width && y > 0 && y < stage.height);
}));

test("labels stay within a phone's map and clear of its buttons", () => visit({ viewport: PHONE, name: "phone-map" }, async (page) => {
  const hidden = await page.evaluate(() => {
    const { map } = explorer;
    const boxes = map.labels.place(map, []).filter(({ kind }) => kind === "cluster").map(({ text, x, y }) => {
      map.context.font = "600 13px sans-serif";
      const half = 0.45 * map.context.measureText(text).width;
      return [text, x - half, y - 5, x + half, y + 5];
    });
    const isCovered = ([, x0, y0, x1, y1]) => map.covered.some(({ x, y, width, height }) =>
      x0 < x + width && x1 > x && y0 < y + height && y1 > y);
    return boxes.filter((box) => box[1] < 0 || box[3] > map.width || isCovered(box)).map(([text]) => text);
  });
  assert.deepEqual(hidden, []);
}));

test("without WebGL a canvas shows the points", () => visit({ query: "?canvas", name: "canvas" }, async (page) => {
  assert.equal(await page.evaluate(() => explorer.map.points.kind), "canvas");
  const colored = await page.evaluate(() => {
    const { pointsCanvas: canvas } = explorer.map;
    const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
    let count = 0;
    for (let i = 3; i < data.length; i += 4) if (data[i]) count++;
    return count;
  });
  assert.ok(colored > 10_000, colored);
}));

test("how long frames take", () => visit({}, async (page) => {
  for (const query of ["webgl", "canvas"]) {
    if (query === "canvas") { await page.goto(`${PAGE}?canvas`); await page.waitForSelector("#app:not([aria-busy])"); }
    const times = await page.evaluate(async () => {
      const { map } = explorer;
      const result = [];
      for (let i = 0; i < 40; i++) {
        map.setView(0.5 + 0.001 * i, 0.5, 1 + 0.05 * i);
        const start = performance.now();
        map.draw();
        map.points.gl?.finish();
        result.push(performance.now() - start);
        await new Promise(requestAnimationFrame);
      }
      return result.sort((a, b) => a - b);
    });
    console.log(`${query}: a frame takes ${times[20].toFixed(1)} ms (median), ${times[38].toFixed(1)} ms (95 %)`);
  }
}));

test("WebGL shows the points", () => visit({}, async (page) => {
  assert.equal(await page.evaluate(() => explorer.map.points.kind), "webgl");
  const colored = await page.evaluate(() => {
    const { map } = explorer;
    map.draw();
    const copy = document.createElement("canvas");
    [copy.width, copy.height] = [map.pointsCanvas.width, map.pointsCanvas.height];
    const context = copy.getContext("2d");
    context.drawImage(map.pointsCanvas, 0, 0);
    const { data } = context.getImageData(0, 0, copy.width, copy.height);
    let count = 0;
    for (let i = 3; i < data.length; i += 4) if (data[i]) count++;
    return count;
  });
  assert.ok(colored > 10_000, colored);
}));

for (const colorScheme of ["light", "dark"]) {
  test(`axe finds nothing in ${colorScheme} mode`, async () => {
    for (const hash of ["", "#word=tea", "#tool=analogy&analogy=berlin&analogy=germany&analogy=france", "#tool=compare&compare=tea&compare=coffee", "#tool=selection"]) {
      await visit({ hash, colorScheme }, async (page) => {
        await page.evaluate(axe.source);
        const { violations } = await page.evaluate(() => axe.run());
        assert.deepEqual(violations.map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.html)}`), []);
      });
    }
  });
}
