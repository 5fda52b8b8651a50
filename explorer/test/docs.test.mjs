// Every page of the documentation in headless Chromium, with SITE naming its folder: wide and light, narrow and dark.
import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { pathToFileURL } from "node:url";
import axe from "axe-core";
import { chromium } from "playwright-core";

const SITE = process.env.SITE;
const CHROMIUM = process.env.CHROMIUM ?? "/usr/bin/chromium";
const VIEWS = [
  { colorScheme: "light", viewport: { width: 1280, height: 900 } },
  { colorScheme: "dark", viewport: { width: 390, height: 844 } },
];

let browser;
before(async () => {
  browser = await chromium.launch({ executablePath: CHROMIUM, args: ["--no-sandbox"] });
});
after(() => browser.close());

/** Problems that axe-core calls serious or critical, each with its first element. */
async function violations(page) {
  await page.evaluate(axe.source);
  const result = await page.evaluate(() => axe.run());
  const grave = result.violations.filter(({ impact }) => impact === "serious" || impact === "critical");
  return grave.map(({ id, nodes }) => `${id} (${nodes.length}): ${nodes[0].html.slice(0, 200)}`);
}

async function check(path, view) {
  const context = await browser.newContext({ reducedMotion: "reduce", ...view });
  const page = await context.newPage();
  const problems = [];
  page.on("pageerror", (error) => {
    // Browsers load the index of the search from a server only.
    if (!error.message.startsWith("Invalid script: file:")) problems.push(error.message);
  });
  page.on("request", (request) => {
    if (/^https?:/.test(request.url())) problems.push(`request: ${request.url()}`);
  });
  await page.goto(pathToFileURL(join(SITE, path)).href);
  const width = await page.evaluate(() => document.documentElement.scrollWidth);
  if (width > view.viewport.width) problems.push(`${width} pixels wide on ${view.viewport.width}`);
  problems.push(...await violations(page));
  await context.close();
  assert.deepEqual(problems, []);
}

const paths = SITE
  ? readdirSync(SITE, { recursive: true }).filter((path) => path.endsWith("index.html")).sort()
  : [];
for (const path of paths) {
  for (const view of VIEWS) {
    test(`${path}, ${view.colorScheme}`, () => check(path, view));
  }
}
