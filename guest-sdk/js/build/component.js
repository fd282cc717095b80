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
  const exchanges = await recordedExchanges(root);
  await writeFile(out, exchanges === null ? component : withSection(component, "everwit:exchanges", exchanges));
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

/**
 * The recorded exchanges of a driver: `exchanges.json` beside `package.json`. The host replays them
 * at upload.
 * @param {string} root
 */
async function recordedExchanges(root) {
  const file = path.join(root, "exchanges.json");
  if (!existsSync(file)) return null;
  const text = await readFile(file, "utf8");
  try {
    return Buffer.from(JSON.stringify(JSON.parse(text)));
  } catch (error) {
    throw new Error(`${file} is not JSON: ${/** @type {Error} */ (error).message}`);
  }
}

/**
 * Appends a custom section to a component.
 * @param {Uint8Array} component
 * @param {string} name
 * @param {Uint8Array} data
 */
function withSection(component, name, data) {
  const label = Buffer.from(name);
  const content = Buffer.concat([leb128(label.length), label, data]);
  return Buffer.concat([component, Buffer.from([0]), leb128(content.length), content]);
}

/** @param {number} value */
function leb128(value) {
  const bytes = [];
  for (; value >= 0x80; value >>>= 7) bytes.push((value & 0x7f) | 0x80);
  return Buffer.from([...bytes, value]);
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
