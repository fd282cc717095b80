/** Runs a built component in Node, with the stand-in as its host. */
import { transpileBytes } from "@bytecodealliance/jco-transpile";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { setFlagsFromString } from "node:v8";
import { contextRecord } from "../../testing/index.js";
import call from "../../testing/fakes/host-call.js";
import clock from "../../testing/fakes/host-clock.js";
import log from "../../testing/fakes/host-log.js";
import random from "../../testing/fakes/host-random.js";
import client, { Response } from "../../testing/fakes/http-client.js";
import kv from "../../testing/fakes/kv-store.js";
import secrets, { Secret } from "../../testing/fakes/secrets-store.js";

// Components place their data with extended constant expressions, which Node 20 has behind a flag.
if (process.versions.node.startsWith("20.")) setFlagsFromString("--experimental-wasm-extended-const");

/** The bindings of this runner show 64-bit numbers as BigInt, those of the guest as numbers. */
const imports = {
  "everwit:host/log": log,
  "everwit:host/call": {
    ...call,
    remainingMs: () => BigInt(call.remainingMs()),
    stopped: () => call.stopped() ?? undefined,
    progress: (done, total, note) => call.progress(Number(done), total === undefined ? null : Number(total), note ?? null),
  },
  "everwit:host/clock": { nowMs: () => BigInt(clock.nowMs()), monotonicMs: () => BigInt(clock.monotonicMs()) },
  "everwit:host/random": { ...random, number: () => BigInt(random.number()) },
  "everwit:kv/store": {
    get: (bucket, key) => {
      const entry = kv.get(bucket, key);
      return entry ? { value: entry.value, version: BigInt(entry.version) } : undefined;
    },
    put: (bucket, key, value, expected) => BigInt(kv.put(bucket, key, value, expected === undefined ? null : Number(expected))),
    remove: (bucket, key, expected) => kv.remove(bucket, key, expected === undefined ? null : Number(expected)),
    keys: (bucket, prefix, after, limit) => kv.keys(bucket, prefix, after ?? null, limit),
  },
  "everwit:http/client": { ...client, Response },
  "everwit:secrets/store": secrets,
  "everwit:secrets/handles": { Secret },
};

/**
 * Loads a component file. `imports` are the interfaces that it imports, `fresh` makes an
 * instance, as the host does for every call.
 */
export async function loadComponent(file) {
  const { files, imports: needed } = await transpileBytes(await readFile(file), { name: "component", instantiation: "async", noTypescript: true });
  const folder = await mkdtemp(path.join(tmpdir(), "everwit-guest-test-"));
  try {
    await writeFile(path.join(folder, "component.mjs"), files["component.js"]);
    const { instantiate } = await import(path.join(folder, "component.mjs"));
    const modules = new Map();
    for (const [name, bytes] of Object.entries(files)) if (name.endsWith(".wasm")) modules.set(name, await WebAssembly.compile(bytes));
    return { imports: needed, fresh: () => fresh(instantiate, modules) };
  } finally {
    await rm(folder, { recursive: true });
  }
}

async function fresh(instantiate, modules) {
  const memories = [];
  const exports = await instantiate((name) => modules.get(name), imports, async (module, wired) => {
    const instance = await WebAssembly.instantiate(module, wired);
    memories.push(...Object.values(instance.exports).filter((value) => value instanceof WebAssembly.Memory));
    return instance;
  });
  return {
    exports,
    /** Size of the largest memory, in bytes. */
    memoryBytes: () => Math.max(...memories.map((memory) => memory.buffer.byteLength)),
    /** Calls a tool; returns its output, or the failure under `failure`. */
    call(name, args = {}, context = {}) {
      try {
        return exports.tools.call(contextRecord(context), name, JSON.stringify(args));
      } catch (error) {
        if (error instanceof Error) throw error;
        return { failure: error };
      }
    },
  };
}
