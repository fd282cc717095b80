import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { contextRecord, host, invoke } from "../testing/index.js";

const { capability, Failure, output, part } = await import("../src/index.js");

beforeEach(() => host.reset());

/** The exports of a capability with one tool. */
const withTool = (run, more = {}) =>
  capability({ id: "x", title: "X", version: "1.0.0", summary: "s", tools: { t: { description: "d", input: { type: "object" }, run, ...more } } });

/** Calls the tool as the component's export does. */
function call(run, more, args = "{}") {
  try {
    return withTool(run, more).tools.call(contextRecord({ config: { a: 1 }, extra: { k: "v" } }), "t", args);
  } catch (failure) {
    assert.equal(failure instanceof Error, false, "an error value of the contract is a plain record");
    return failure;
  }
}

const text = (val) => ({ tag: "text", val });

test("passes arguments and context", () => {
  let seen;
  call((args, ctx) => (seen = { args, ctx }), {}, '{"n":1}');
  assert.deepEqual(seen, {
    args: { n: 1 },
    ctx: { org: "org", session: "session", turn: "turn", idempotencyKey: "call", config: { a: 1 }, locale: null, extra: { k: "v" } },
  });
});

test("maps what a tool returns", () => {
  const data = (json) => ({ parts: [{ tag: "data", val: json }], structured: json, extra: [] });
  assert.deepEqual(call(() => "hi"), { parts: [text("hi")], structured: null, extra: [] });
  assert.deepEqual(call(() => "hi", { output: { type: "string" } }).structured, '"hi"');
  assert.deepEqual(call(() => ({ a: [1] })), data('{"a":[1]}'));
  assert.deepEqual(call(() => 0), data("0"));
  assert.deepEqual(call(() => undefined), data("null"));
  assert.deepEqual(call(() => "\ud800!").parts, [text("\ufffd!")]);
});

test("maps explicit output", () => {
  const parts = ["a", part.data([1]), part.blob("a/b", "ü"), part.link({ uri: "u:v" })];
  assert.deepEqual(call(() => output({ parts, structured: null })), {
    parts: [
      text("a"),
      { tag: "data", val: "[1]" },
      { tag: "blob", val: { mediaType: "a/b", data: Uint8Array.of(0xc3, 0xbc) } },
      { tag: "link", val: { uri: "u:v", name: "u:v", mediaType: null } },
    ],
    structured: "null",
    extra: [],
  });
  assert.deepEqual(call(() => output({})), { parts: [], structured: null, extra: [] });
  assert.match(call(() => output({ parts: [{ type: "text" }] })).message, /a part is a string or made by part\.text/);
});

test("refuses output that cannot cross", () => {
  const cyclic = {};
  cyclic.self = cyclic;
  assert.match(call(() => cyclic).message, /^TypeError: what the tool "t" returned is not JSON: /);
  assert.match(call(() => 1n).message, /is not JSON/);
  assert.match(call(() => () => 1).message, /is not JSON: it is a function/);
  assert.match(call(() => ["x".repeat(1024 * 1024)]).message, /has 1048580 bytes of JSON, over the limit of 1048576: return less/);
});

test("maps failures", () => {
  assert.deepEqual(call(() => { throw new Failure("rate-limited", "slow", { code: "c", retryable: true, retryAfterMs: 9.6, extra: { a: 1 } }); }), {
    kind: "rate-limited", code: "c", message: "slow", retryable: true, retryAfterMs: 10, extra: [["a", "1"]],
  });
  assert.deepEqual(call(() => { throw new Failure("not-found", "no"); }), {
    kind: "not-found", code: "not_found", message: "no", retryable: false, retryAfterMs: null, extra: [],
  });
  assert.equal(host.logs.length, 0);
  for (const value of [-1, NaN, Infinity, "x", 2 ** 60]) {
    assert.equal(call(() => { throw new Failure("x", "m", { retryAfterMs: value }); }).retryAfterMs, null);
  }
});

test("maps anything else that is thrown, and logs its stack", () => {
  const internal = (message) => ({ kind: "internal", code: "exception", message, retryable: false, retryAfterMs: null, extra: [] });
  assert.deepEqual(call(() => { throw new RangeError("too far"); }), internal("RangeError: too far"));
  assert.match(host.logs[0].fields.stack, /too far/);
  assert.deepEqual(call(() => { throw new Error("plain"); }), internal("plain"));
  assert.deepEqual(call(() => { throw "text \ud800"; }), internal("text \ufffd"));
  assert.deepEqual(call(() => { throw { tag: "denied", val: "v" }; }), internal('{"tag":"denied","val":"v"}'));
  assert.deepEqual(call(() => { throw Object.assign(new Error("x"), { payload: { tag: "quota" } }); }), internal('{"tag":"quota"}'));
  assert.deepEqual(call(() => { throw undefined; }), internal("undefined"));
  assert.deepEqual(call(() => { throw ""; }), internal("an empty value was thrown"));
  assert.deepEqual(call(() => { throw Object.create(null); }), internal("{}"));
});

test("cuts messages to their limit at a character", () => {
  const { message, code } = call(() => { throw new Failure("x", "é".repeat(4000), { code: "c".repeat(80) }); });
  assert.equal(Buffer.byteLength(message), 4095);
  assert.equal(message.at(-1), "…");
  assert.ok(Buffer.byteLength(code) <= 64);
});

test("refuses unknown tools and arguments that are no object", () => {
  const exports = withTool(() => "");
  assert.throws(() => exports.tools.call(contextRecord({}), "toString", "{}"), { kind: "not-found", code: "unknown_tool", message: 'there is no tool "toString"; the tools are: t' });
  assert.equal(call(() => "", {}, "[]").kind, "invalid-arguments");
  assert.equal(call(() => "", {}, "{").kind, "invalid-arguments");
});

test("a promise that nothing can settle is a failure", () => {
  assert.equal(call(() => new Promise(() => {})).code, "never_settled");
});

test("invoke awaits native promises", async () => {
  assert.deepEqual(await invoke(withTool(async () => ({ a: 1 })), "t"), { ok: true, text: '{"a":1}', parts: [{ tag: "data", val: '{"a":1}' }], structured: { a: 1 } });
  const failed = await invoke(withTool(async () => { throw new Failure("denied", "no"); }), "t");
  assert.equal(failed.ok, false);
  assert.equal(failed.failure.kind, "denied");
});

test("makes the optional exports that a definition has", () => {
  const base = { id: "x", title: "X", version: "1.0.0", summary: "s" };
  assert.deepEqual(Object.keys(capability(base)), ["describe", "tools"]);
  const all = capability({
    ...base,
    dynamicInstructions: ({ config }) => { if (config.bad) throw new Error("oops"); return config.text; },
    validateConfig: ({ problems, bad }) => { if (bad) throw new Error("oops"); return problems; },
    health: ({ config }) => { if (config.bad) throw new Failure("upstream", "down"); },
  });
  const record = (config) => contextRecord({ config });
  assert.equal(all.dynamicInstructions.instructions(record({ text: "be brief" })), "be brief");
  assert.equal(all.dynamicInstructions.instructions(record({})), null);
  assert.equal(all.dynamicInstructions.instructions(record({ bad: true })), null);
  assert.equal(host.logs.at(-1).message, "oops");
  assert.equal(all.configValidation.validate("{}"), undefined);
  assert.throws(() => all.configValidation.validate('{"problems":["a","b"]}'), (thrown) => (assert.deepEqual(thrown, ["a", "b"]), true));
  assert.throws(() => all.configValidation.validate('{"bad":true}'), (thrown) => (assert.deepEqual(thrown, ["oops"]), true));
  assert.equal(all.health.check(record({})), undefined);
  assert.throws(() => all.health.check(record({ bad: true })), { kind: "upstream", message: "down" });
});
