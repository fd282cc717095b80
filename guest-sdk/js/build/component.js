/** Builds a capability's folder into a component file. */
import { componentize } from "componentize-qjs";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { existsSync } from "node:fs";
import path from "node:path";
import { bundle } from "./bundle.js";
import { WORLD, withWorld } from "./world.js";

const ENTRIES = ["src/index.ts", "src/index.js", "src/index.mjs", "index.ts", "index.js", "index.mjs"];

/**
 * @typedef {object} BuildOptions
 * @property {string} [entry] source file, relative to the folder; found by its usual names
 * @property {string} [out] output file, relative to the folder; `dist/<package name>.wasm`
 * @property {string[]} [wit] folders with further WIT packages, relative to the folder
 * @property {boolean} [wasi] keep the engine's WASI imports instead of stubbing them
 * @property {boolean} [optSize] use the smaller, slower build of the engine
 */

/**
 * Builds and returns what was written.
 * @param {string} folder
 * @param {BuildOptions} [options]
 */
export async function buildComponent(folder, options = {}) {
  const root = path.resolve(folder);
  const entry = await findEntry(root, options.entry);
  const out = path.resolve(root, options.out ?? `dist/${await findName(root)}.wasm`);
  const bundled = await bundle(entry);
  const more = (options.wit ?? []).map((place) => path.resolve(root, place));
  const { component } = await withWorld(bundled, more, (witPath) =>
    componentize({
      witPath,
      world: WORLD,
      jsSource: bundled.code,
      sync: true,
      stubWasi: !options.wasi,
      optSize: options.optSize ?? false,
    }),
  ).catch(explain);
  await mkdir(path.dirname(out), { recursive: true });
  await writeFile(out, component);
  // The positions in the stacks that a component logs are positions in this file.
  await writeFile(out.replace(/(\.wasm)?$/, ".js"), bundled.code);
  return { out, bytes: component.length, imports: bundled.imports, exports: bundled.exports };
}

/**
 * @param {string} root
 * @param {string} [named]
 */
async function findEntry(root, named) {
  const candidates = named ? [named] : ENTRIES;
  const found = candidates.map((name) => path.resolve(root, name)).find(existsSync);
  if (!found) throw new Error(`there is no source file in ${root}: looked for ${candidates.join(", ")}; name one with --entry`);
  return found;
}

/** @param {string} root */
async function findName(root) {
  const file = path.join(root, "package.json");
  if (!existsSync(file)) return path.basename(root);
  const { name } = JSON.parse(await readFile(file, "utf8"));
  return name ? name.replace(/^@[^/]*\//, "") : path.basename(root);
}

/**
 * The capability's top level runs while the engine's snapshot is taken, so its errors arrive
 * wrapped in the componentizer's.
 * @param {any} error
 * @returns {never}
 */
function explain(error) {
  const message = String(error?.message ?? error);
  const thrown = /JavaScript module evaluation: (?:Error: )?([\s\S]*?)(?:\n {4}at |$)/.exec(message)?.[1];
  if (thrown) throw new Error(thrown.trim());
  const host = /unknown import: `([^`]*)` has not been defined/.exec(message)?.[1];
  if (host) throw new Error(`${host} was called at build time, where there is no host: move the call from the top level of a module into a tool`);
  throw error;
}
