/** Builds real components and runs them: what only the engine and its bindings can show. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, beforeEach, test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { buildComponent } from "../build/component.js";
import { host } from "../testing/index.js";
import { loadComponent } from "./support/component.js";

const MIB = 1024 * 1024;
const fixture = (name) => fileURLToPath(new URL(`fixtures/${name}/`, import.meta.url));

let folder;
let probe;

before(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "everwit-guest-test-"));
  const { out } = await buildComponent(fixture("probe"), { out: path.join(folder, "probe.wasm") });
  probe = await loadComponent(out);
});
after(() => rm(folder, { recursive: true }));
beforeEach(() => host.reset());

/** Calls a tool of the probe in a fresh instance; returns the value of its JSON result. */
async function value(name, args, context) {
  const result = (await probe.fresh()).call(name, args, context);
  assert.equal(result.failure, undefined, JSON.stringify(result.failure));
  return JSON.parse(result.structured);
}

/** Calls a tool of the probe that must fail. */
const failure = async (name, args) => (await probe.fresh()).call(name, args).failure;

test("a component imports the interfaces that its code uses, and no others", async () => {
  const { out, imports } = await buildComponent(fixture("minimal"), { out: path.join(folder, "minimal.wasm") });
  assert.deepEqual(imports, ["everwit:host/log@1.0.0"]);
  const minimal = await loadComponent(out);
  assert.deepEqual(minimal.imports, ["everwit:host/log"]);
  const { parts } = (await minimal.fresh()).call("greet", { name: " Ada " });
  assert.deepEqual(parts, [{ tag: "text", val: "Hello, Ada!" }]);
  assert.deepEqual(probe.imports, [
    "everwit:host/call", "everwit:host/clock", "everwit:host/log", "everwit:host/random",
    "everwit:http/client", "everwit:kv/store", "everwit:secrets/handles", "everwit:secrets/store",
  ]);
});

test("with --wasi it keeps the engine's imports", async () => {
  const { out } = await buildComponent(fixture("minimal"), { out: path.join(folder, "wasi.wasm"), wasi: true });
  const { imports } = await loadComponent(out);
  assert.ok(imports.includes("wasi:cli/environment"), String(imports));
});

test("describes itself", async () => {
  const { exports } = await probe.fresh();
  const description = exports.describe.describe();
  assert.equal(description.id, "probe");
  assert.equal(description.instructions, undefined);
  assert.deepEqual(description.tools[0].effects, { readOnly: true, destructive: false, idempotent: false, openWorld: false });
  assert.deepEqual(description.permissions.kv, ["notes"]);
  assert.equal(description.permissions.secrets[0].place, "header:authorization");
});

test("passes arguments and context", async () => {
  const seen = await value("context", { n: 1.5, t: "grüße 🌍", l: [null, true] }, { config: { a: 1 }, locale: "de-AT", extra: { k: "v" } });
  assert.deepEqual(seen, {
    args: { n: 1.5, t: "grüße 🌍", l: [null, true] },
    ctx: { org: "org", session: "session", turn: "turn", idempotencyKey: "call", config: { a: 1 }, locale: "de-AT", extra: { k: "v" } },
  });
});

test("returns text, nothing and explicit parts", async () => {
  const instance = await probe.fresh();
  assert.deepEqual(instance.call("text").parts, [{ tag: "text", val: "plain text" }]);
  assert.equal(instance.call("text").structured, undefined);
  assert.equal(instance.call("nothing").structured, "null");
  const { parts, structured } = instance.call("parts");
  assert.deepEqual(parts[2], { tag: "blob", val: { mediaType: "image/png", data: Uint8Array.of(1, 2, 3) } });
  assert.deepEqual(parts[3].val, { uri: "https://example.com/", name: "https://example.com/", mediaType: undefined });
  assert.equal(structured, '{"n":4}');
  assert.equal(instance.call("surrogate").parts[0].val, "lone \ufffd surrogate");
});

test("fails with values, never with a trap", async () => {
  assert.deepEqual(await failure("failure"), { kind: "rate-limited", code: "too_fast", message: "slow down", retryable: true, retryAfterMs: 1500n, extra: [["hint", "x"]] });
  const bug = await failure("bug");
  assert.equal(bug.kind, "internal");
  assert.match(bug.message, /^TypeError: cannot read property 'property' of null/);
  assert.match(host.logs[0].fields.stack, /user\.js:\d+/);
  assert.equal((await failure("thrown_text")).message, "just \ufffd text");
  assert.match((await failure("cyclic")).message, /is not JSON: TypeError: circular reference/);
  assert.match((await failure("too_much")).message, /over the limit of 1048576/);
  assert.match((await failure("timer")).message, /setTimeout is not defined/);
  assert.equal((await failure("no_such_tool")).code, "unknown_tool");
});

test("Math.random, crypto and random numbers come from the host", async () => {
  const first = await value("random");
  host.reset();
  assert.deepEqual(await value("random"), first, "the same host numbers give the same result");
  host.reset();
  host.seed = 2;
  const other = await value("random");
  assert.notEqual(other.math, first.math);
  assert.notEqual(other.uuid, first.uuid);
  assert.equal(other.top, first.top, "the top level ran once, at build time");
  assert.equal(other.bytes, 70_000);
});

test("Date and performance come from the host's clock", async () => {
  host.nowMs = Date.UTC(2031, 4, 6, 7, 8, 9, 10);
  const seen = await value("time");
  assert.equal(seen.now, host.nowMs);
  assert.equal(seen.iso, "2031-05-06T07:08:09.010Z");
  assert.equal(seen.called, "Tue May 06 2031 07:08:09 GMT+0000");
  assert.equal(seen.monotonic, host.nowMs);
  assert.equal(seen.is, true);
  assert.equal(seen.top, new Date().getUTCFullYear());
});

test("asynchronous code runs to its end within the call", async () => {
  assert.deepEqual(await value("asynchronous"), { seen: [1, 2, 3], a: 1, b: 2, caught: "no" });
  assert.equal((await failure("asynchronous_failure")).kind, "not-found");
  assert.equal((await failure("never")).code, "never_settled");
});

test("console and log reach the host", async () => {
  (await probe.fresh()).call("console");
  assert.deepEqual(host.logs, [
    { level: "warn", message: 'careful {"a":1}', fields: {} },
    { level: "info", message: "with fields", fields: { n: "1" } },
  ]);
});

test("text encoding, progress, kv, secrets and http work through the bindings", async () => {
  assert.equal((await probe.fresh()).call("encoding").parts[0].val, "grüße 🌍");
  host.stop = "deadline";
  assert.deepEqual(await value("progress"), { remaining: 30_000, stop: "deadline", emitted: "deadline" });
  host.reset();
  assert.deepEqual(await value("progress"), { remaining: 30_000, stop: null, emitted: null });
  assert.deepEqual(host.progress, [{ done: 1, total: 2, note: "half" }]);
  host.kv.notes = new Map();
  assert.deepEqual(await value("remember", { key: "k", value: { a: "ü" } }), { version: 1, read: { a: "ü" }, keys: ["k"] });
  assert.deepEqual(await failure("denied"), { kind: "denied", code: "kv_denied", message: 'grant the kv bucket "other"', retryable: false, retryAfterMs: undefined, extra: [] });
  host.secrets.token = "placeholder";
  host.http = () => ({ body: { items: "x".repeat(200_000) } });
  assert.equal((await value("get", { url: "https://api.example.com/v1" })).items.length, 200_000);
  assert.equal(host.requests[0].url, "https://api.example.com/v1?q=a%20b");
  assert.deepEqual(host.requests[0].headers, [["authorization", "placeholder"]]);
  host.http = () => { throw { kind: "timeout", message: "took too long", requestSent: true, retryAfterMs: undefined }; };
  assert.equal((await failure("get", { url: "https://api.example.com/v1" })).code, "http_timeout");
});

test("optional exports work", async () => {
  const { exports } = await probe.fresh();
  const record = (config) => ({ org: "", session: "", turn: "", idempotencyKey: "", config: JSON.stringify(config), extra: [] });
  assert.equal(exports.dynamicInstructions.instructions(record({ name: "Ada" })), "Call the user Ada.");
  assert.equal(exports.dynamicInstructions.instructions(record({})), undefined);
  exports.configValidation.validate("{}");
  assert.throws(() => exports.configValidation.validate('{"name":""}'), (problems) => problems[0] === "name is empty: leave it out or fill it in");
  exports.health.check(record({}));
  assert.throws(() => exports.health.check(record({ broken: true })), (failure) => failure.kind === "upstream");
});

test("a normal call does not grow memory", async () => {
  const instance = await probe.fresh();
  const before = instance.memoryBytes();
  assert.ok(before >= 4 * MIB && before < 8 * MIB, `${before}`);
  assert.equal(instance.call("allocate", { count: 20_000 }).structured, "20000");
  assert.equal(instance.memoryBytes(), before);
});

/** Builds a module that must be refused; returns the message. */
async function refusal(source) {
  const file = path.join(folder, "refused.js");
  await writeFile(file, `import { capability, tool, fetch, kv, log } from ${JSON.stringify(fileURLToPath(new URL("../src/index.js", import.meta.url)))};\n${source}`);
  return buildComponent(folder, { entry: file, out: path.join(folder, "refused.wasm") }).then(() => assert.fail("it was built"), (error) => error.message);
}

const base = 'id: "x", title: "X", version: "1.0.0", summary: "s"';

test("the build refuses what cannot work, and says what to do", async () => {
  assert.match(await refusal(`export const tools = {};`), /does not export "describe": write `export const \{ describe, tools \} = capability/);
  assert.match(await refusal(`export const { describe, tools } = capability({ ${base}, version: "1" });`), /not valid:\n- version is "1", which is not a semantic version/);
  assert.match(await refusal(`export const { describe, tools } = capability({ ${base}, health: () => {} });`), /- export "health" of what capability\(\) returns/);
  assert.match(await refusal(`export const { describe, tools } = capability({ ${base}, tools: { t: { description: "d", run: () => fetch("https://a.example") } } });`), /- "fetch" is used, but permissions\.http asks for nothing/);
  assert.match(await refusal(`export const { describe, tools } = capability({ ${base}, permissions: { kv: ["a"] } });`), /- permissions\.kv asks for access, but "kv" is not used/);
  assert.match(await refusal(`log.info("hi"); export const { describe, tools } = capability({ ${base} });`), /log\.info needs the host, which is not there at build time: move it from the top level/);
  assert.match(await refusal(`import raw from "everwit:host/log@1.0.0"; raw.write("info", "hi", []); export const { describe, tools } = capability({ ${base} });`), /everwit:host\/log@1\.0\.0#write was called at build time/);
  assert.match(await refusal(`import fs from "node:fs"; export const { describe, tools } = capability({ ${base}, extra: fs });`), /refused\.js:2:15: Could not resolve "node:fs"[\s\S]*capabilities run without Node/);
  assert.match(await refusal(`import x from "everwit:host/future@9.0.0"; export const { describe, tools } = capability({ ${base}, extra: x });`), /future/);
  assert.match(await refusal(`export const x = ;`), /refused\.js:2:17: Unexpected ";"/);
});

test("the command prints size, time and imports", async () => {
  const bin = fileURLToPath(new URL("../bin/everwit-guest-build.js", import.meta.url));
  const run = promisify(execFile);
  const { stdout } = await run(process.execPath, [bin, fixture("minimal"), "--out", path.join(folder, "command.wasm"), "--opt-size"]);
  assert.match(stdout, /command\.wasm: \d+ KiB in \d+\.\d s\nimports everwit:host\/log@1\.0\.0\n$/);
  const failed = await run(process.execPath, [bin, folder, "--entry", "absent.js"]).catch((error) => error);
  assert.equal(failed.code, 1);
  assert.match(failed.stderr, /^everwit-guest-build: there is no source file in .*: looked for absent\.js; name one with --entry\n$/);
});
