#!/usr/bin/env node
import { parseArgs } from "node:util";
import path from "node:path";
import { buildComponent } from "../build/component.js";

const USAGE = `Usage: everwit-guest-build [FOLDER] [options]

Builds the capability in FOLDER (default: this one) into dist/<package name>.wasm.

  --entry FILE   source file (default: src/index.ts, src/index.js, index.ts, index.js)
  --out FILE     output file
  --wit FOLDER   folder with WIT packages of further imports; repeatable
  --wasi         keep the engine's WASI imports instead of stubbing them
  --opt-size     use the smaller, slower build of the engine
  --json         print the result as JSON
  --help         print this text
`;

/** @returns {Promise<number>} the exit code */
async function main() {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      entry: { type: "string" },
      out: { type: "string" },
      wit: { type: "string", multiple: true },
      wasi: { type: "boolean" },
      "opt-size": { type: "boolean" },
      json: { type: "boolean" },
      help: { type: "boolean" },
    },
  });
  if (values.help || positionals.length > 1) {
    (values.help ? process.stdout : process.stderr).write(USAGE);
    return values.help ? 0 : 2;
  }
  const started = performance.now();
  const { entry, out, wit, wasi } = values;
  const built = await buildComponent(positionals[0] ?? ".", { entry, out, wit, wasi, optSize: values["opt-size"] });
  const milliseconds = Math.round(performance.now() - started);
  if (values.json) {
    process.stdout.write(`${JSON.stringify({ ...built, milliseconds })}\n`);
    return 0;
  }
  const file = path.relative(process.cwd(), built.out);
  const size = `${file}: ${(built.bytes / 1024).toFixed(0)} KiB in ${(milliseconds / 1000).toFixed(1)} s`;
  process.stdout.write(`${size}\nimports ${built.imports.join(", ") || "nothing"}\n`);
  return 0;
}

main().then(
  (code) => (process.exitCode = code),
  (error) => {
    process.stderr.write(`everwit-guest-build: ${error.message}\n`);
    process.exitCode = 1;
  },
);
