/**
 * Bundles a capability's source with its dependencies into one module that the engine can
 * load, and finds out which host interfaces are left in it.
 */
import { build } from "esbuild";
import { fileURLToPath } from "node:url";
import path from "node:path";

const SDK = fileURLToPath(new URL("../src/", import.meta.url));

/** Exports of the module that become exports of the component, and their interfaces. */
export const EXPORTS = {
  describe: "everwit:capability/describe",
  tools: "everwit:capability/tools",
  dynamicInstructions: "everwit:capability/dynamic-instructions",
  configValidation: "everwit:capability/config-validation",
  health: "everwit:capability/health",
  meta: "everwit:driver/meta",
  codec: "everwit:driver/codec",
  discovery: "everwit:driver/discovery",
  tokenExchange: "everwit:driver/token-exchange",
};

/** What a module must export, by what it is, and how that is written. */
const REQUIRED = {
  capability: { names: ["describe", "tools"], write: "export const { describe, tools } = capability({ … })" },
  driver: { names: ["meta", "codec"], write: "export const { meta, codec } = driver({ … })" },
};

/**
 * Globals that the engine lacks or has without the host behind them, each with a pattern of
 * the code that needs it. A pattern may match too much; that costs at most a harmless import.
 */
const GLOBALS = [
  { module: "promise", needed: (/** @type {string} */ code) => /\b(Promise|queueMicrotask)\b|\b__async\b/.test(code) },
  { module: "console", needed: (/** @type {string} */ code) => /\bconsole\b/.test(code) },
  { module: "date", needed: (/** @type {string} */ code) => /\b(Date|performance)\b/.test(code) },
  { module: "random", needed: (/** @type {string} */ code) => /\bMath\b/.test(code) && /\brandom\b/.test(code) },
  { module: "crypto", needed: (/** @type {string} */ code) => /\b(getRandomValues|randomUUID)\b/.test(code) },
  { module: "text-encoding", needed: (/** @type {string} */ code) => /\bText(En|De)coder\b/.test(code) },
];

/**
 * @typedef {object} Bundle
 * @property {string} code
 * @property {string[]} imports specifiers of host interfaces, sorted
 * @property {(keyof typeof EXPORTS)[]} exports
 */

/**
 * Bundles `entry`. The first pass sees what the code uses, the second adds what that needs.
 * @param {string} entry absolute path
 * @returns {Promise<Bundle>}
 */
export async function bundle(entry) {
  const probe = await run({ entryPoints: [entry] }, entry);
  const exports = /** @type {Bundle["exports"]} */ (Object.keys(EXPORTS).filter((name) => probe.exports.includes(name)));
  const { names, write } = REQUIRED.driver.names.some((name) => probe.exports.includes(name)) ? REQUIRED.driver : REQUIRED.capability;
  for (const required of names) {
    if (!probe.exports.includes(required)) throw new Error(`${path.basename(entry)} does not export "${required}": write \`${write}\``);
  }
  const used = GLOBALS.filter(({ needed }) => needed(probe.code));
  const contents = entryModule(entry, used.map(({ module }) => module), exports, probe.imports);
  const final = await run({ stdin: { contents, resolveDir: path.dirname(entry), sourcefile: "component.js" } }, entry);
  return { code: final.code, imports: final.imports, exports };
}

/**
 * The module that the component is made of. Imports run in order: the globals are in place
 * before the capability's own top level runs.
 * @param {string} entry
 * @param {string[]} globals
 * @param {string[]} exports
 * @param {string[]} imports
 */
function entryModule(entry, globals, exports, imports) {
  const sdk = (/** @type {string} */ file) => JSON.stringify(path.join(SDK, file));
  const names = imports.map((specifier) => specifier.replace(/@.*$/, ""));
  return [
    ...globals.map((name) => `import ${sdk(`globals/${name}.js`)};`),
    `import * as guest from ${JSON.stringify(entry)};`,
    `import { checkModule } from ${sdk("build-check.js")};`,
    `import ${sdk("globals/heap.js")};`,
    `checkModule(guest, ${JSON.stringify(names)});`,
    `export { ${exports.join(", ")} } from ${JSON.stringify(entry)};`,
  ].join("\n");
}

/**
 * @param {import("esbuild").BuildOptions} input
 * @param {string} entry
 */
async function run(input, entry) {
  const result = await build({
    ...input,
    bundle: true,
    write: false,
    metafile: true,
    format: "esm",
    platform: "neutral",
    mainFields: ["module", "main"],
    conditions: ["import", "default"],
    absWorkingDir: path.dirname(entry),
    outfile: "component.js",
    target: "es2023",
    // Promises run on the SDK's queue only if no native `async` function makes its own.
    supported: { "async-await": false, "async-generator": false, "for-await": false, "top-level-await": false },
    legalComments: "none",
    charset: "utf8",
    logLevel: "silent",
    plugins: [hostInterfaces],
  }).catch(explain);
  const [output] = Object.values(result.metafile?.outputs ?? {});
  const imports = [...new Set(output.imports.filter(({ external }) => external).map(({ path: specifier }) => specifier))].sort();
  return { code: result.outputFiles?.[0].text ?? "", imports, exports: output.exports };
}

/**
 * Leaves `namespace:package/interface` imports to the component, and lets esbuild drop those
 * that nothing uses.
 * @type {import("esbuild").Plugin}
 */
const hostInterfaces = {
  name: "host-interfaces",
  setup(build) {
    build.onResolve({ filter: /^[a-z][a-z0-9-]*:[a-z][a-z0-9-]*\// }, ({ path: specifier }) => ({ path: specifier, external: true, sideEffects: false }));
  },
};

/**
 * @param {import("esbuild").BuildFailure} failure
 * @returns {never}
 */
function explain(failure) {
  if (!Array.isArray(failure.errors)) throw failure;
  const lines = failure.errors.map(({ text, location }) => (location ? `${location.file}:${location.line}:${location.column}: ${text}` : text));
  if (failure.errors.some(({ text }) => /Could not resolve "(node:)?(fs|net|http|https|path|crypto|child_process|os|stream|util|events|buffer)"/.test(text))) {
    lines.push("capabilities run without Node: use a package that needs none of its modules");
  }
  throw new Error(lines.join("\n"));
}
