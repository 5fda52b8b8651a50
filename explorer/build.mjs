// Bundles the page into one HTML file, which ffjax fills with data: node build.mjs [OUTPUT]
import { build } from "esbuild";
import { readFile, writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";

const at = (path) => fileURLToPath(new URL(path, import.meta.url));
const output = process.argv[2] ?? at("../ffjax/data/explorer.html");
const BUNDLED = ["d3-color", "d3-dispatch", "d3-drag", "d3-ease", "d3-interpolate",
  "d3-scale-chromatic", "d3-selection", "d3-timer", "d3-transition", "d3-zoom", "kdbush"];

async function bundle(entry) {
  const options = { entryPoints: [at(entry)], bundle: true, minify: true, write: false };
  const result = await build({ ...options, format: "iife", target: "es2022", legalComments: "none" });
  return result.outputFiles[0].text.trim();
}

/** The licenses of the packages, each once with the names of those that have it. */
async function licenses() {
  const names = new Map();
  for (const name of BUNDLED) {
    const text = (await readFile(at(`node_modules/${name}/LICENSE`), "utf8")).trim();
    names.set(text, [...(names.get(text) ?? []), name]);
  }
  const notices = [...names].map(([text, packages]) => `${packages.join(", ")}\n\n${text}`);
  return notices.join("\n\n\n").replaceAll("--", "- -"); // "--" ends a comment
}

const [template, script, style, notices] = await Promise.all([
  readFile(at("src/index.html"), "utf8"), bundle("src/main.js"), bundle("src/style.css"), licenses(),
]);
const page = template
  .replace("<!-- licenses -->", () => `<!--\nThis page contains:\n\n${notices}\n-->`)
  .replace("/* style */", () => style)
  .replace("/* script */", () => script.replaceAll("</script", "<\\/script"));
await writeFile(output, page);
