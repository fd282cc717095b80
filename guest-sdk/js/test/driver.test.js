import assert from "node:assert/strict";
import { test } from "node:test";
import { complete } from "../testing/index.js";
const { driver, event, Failure, incomplete, refusal } = await import("../src/index.js");

const MINIMAL = { id: "plain", title: "Plain", version: "1.0.0", summary: "s" };

/** A driver whose completions are made by `on`. */
const plain = (on) => driver({ ...MINIMAL, complete: (config, request) => ({ request: { url: config.url("/x"), json: { model: request.model } }, ...on }) });

const run = (on, frames = [Buffer.from("x")]) => complete(plain(on), { baseUrl: "https://a.example/" }, { model: "m" }, { status: 200 }, frames);

test("fills in what is left out", () => {
  const { meta } = driver({ ...MINIMAL, credentials: [{ name: "api-key", place: "header:x-key" }], complete() {} });
  assert.deepEqual(meta.describe(), {
    ...MINIMAL,
    optionsSchema: '{"type":"object","properties":{},"additionalProperties":false}',
    credentials: [{ name: "api-key", title: "", place: "header:x-key", required: true }],
    defaultBaseUrl: null, models: [], extra: [],
  });
});

test("everything that is wrong with a definition is told at once", () => {
  const bad = { id: "A b", title: "T", version: "1", summary: "s", credentials: [{ name: "key", place: "cookie:x" }], discovery: { begin() {} } };
  assert.throws(() => driver(bad), (error) => {
    for (const part of ["complete must be a function", "discovery.decode", "id is", "version is", "credentials[0].name", "credentials[0].place"]) {
      assert.ok(error.message.includes(part), `${part}: ${error.message}`);
    }
    return true;
  });
});

test("a completion is translated", () => {
  const outcome = run({ onHead: () => "whole", onBytes: (body) => [event.text(String(body.length))], onEnd: () => [event.finish("stop")] });
  assert.deepEqual([outcome.method, outcome.url, outcome.body], ["POST", "https://a.example/x", { model: "m" }]);
  assert.deepEqual(outcome.events, [
    { tag: "text", val: "1" },
    { tag: "finish", val: { reason: "stop", responseId: null, extra: [] } },
  ]);
});

test("what is thrown is a failure with its code, never a trap", () => {
  const failure = (on, frames) => run({ onHead: () => "whole", onBytes: () => [], onEnd: () => [], ...on }, frames).failure;
  assert.equal(failure({ onBytes: () => { throw new Failure("upstream", "m", { code: "unavailable" }); } }).code, "unavailable");
  assert.equal(failure({ onBytes: () => { throw new TypeError("bug"); } }).kind, "internal");
  assert.equal(failure({ onHead: () => "lines" }).kind, "internal");
  assert.equal(failure({ onEnd: () => { throw incomplete(); } }).code, "invalid_response");
  assert.match(failure({ onBytes: () => ["text"] }).message, /event\.text/);
  assert.match(failure({}, [{ data: "x" }]).message, /no onSse/);
  const status = ([number, code]) => assert.equal(refusal(number, "m").code, code);
  [[401, "authentication"], [404, "model_not_available"], [413, "context_too_long"], [429, "rate_limited"], [400, "invalid_request"], [500, "unavailable"]].forEach(status);
});

test("without a base URL or a key the configuration is at fault", () => {
  const keyed = driver({ ...MINIMAL, complete: (config) => ({ request: { url: config.url("/"), headers: { authorization: config.bearer() } } }) });
  assert.equal(complete(keyed, {}, { model: "m" }, { status: 200 }, []).failure.code, "configuration");
  assert.equal(complete(keyed, { baseUrl: "https://a.example" }, { model: "m" }, { status: 200 }, []).failure.code, "configuration");
});
