import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";
import { complete, requestRecord } from "@everwit/guest/testing";
import { base64 } from "../src/base64.js";
const driver = await import("../src/index.js");

const BASE = { baseUrl: "http://localhost:8000/v1/" };
const HI = { model: "m", messages: [{ role: "user", blocks: [{ tag: "part", val: { tag: "text", val: "Hi" } }] }] };
const STREAM = { status: 200, headers: { "content-type": "text/event-stream" } };

const chunk = (delta, more = {}) => ({ data: JSON.stringify({ id: "c", choices: [{ index: 0, delta, ...more }] }) });

test("base64 is that of Node", () => {
  for (let length = 0; length < 10; length++) {
    const bytes = Uint8Array.from({ length }, (_, at) => (at * 97 + 200) & 255);
    assert.equal(base64(bytes), Buffer.from(bytes).toString("base64"));
  }
});

test("images are content of their own, and text alone is a string", () => {
  const image = { tag: "part", val: { tag: "blob", val: { mediaType: "image/png", data: Uint8Array.of(1, 2, 3) } } };
  const { body } = complete(driver, BASE, { ...HI, messages: [{ role: "user", blocks: [...HI.messages[0].blocks, image] }] }, STREAM, []);
  assert.deepEqual(body.messages[0].content, [{ type: "text", text: "Hi" }, { type: "image_url", image_url: { url: "data:image/png;base64,AQID" } }]);
  assert.equal(complete(driver, BASE, HI, STREAM, []).body.messages[0].content, "Hi");
});

test("a key is sent only if there is one", () => {
  assert.equal(complete(driver, BASE, HI, STREAM, []).headers.authorization, undefined);
  assert.equal(complete(driver, { ...BASE, apiKey: "k" }, HI, STREAM, []).headers.authorization, "Bearer k");
});

test("options are members of the request, and do not win over it", () => {
  const { body } = complete(driver, BASE, { ...HI, options: { body: { top_k: 20, model: "other" } } }, STREAM, []);
  assert.deepEqual([body.top_k, body.model], [20, "m"]);
});

test("an answer ends with its reason, after the counts", () => {
  const { events } = complete(driver, BASE, HI, STREAM, [
    chunk({ content: "a" }), chunk({}, { finish_reason: "length" }),
    { data: JSON.stringify({ choices: [], usage: { prompt_tokens: 3, completion_tokens: 1 } }) }, { data: "[DONE]" },
  ]);
  assert.deepEqual(events.map(({ tag }) => tag), ["text", "usage", "finish"]);
  assert.equal(events[2].val.reason, "length");
});

test("what is no stream, breaks off or reports an error fails", () => {
  const code = (head, frames) => complete(driver, BASE, HI, head, frames).failure?.code;
  const page = { status: 200, headers: { "content-type": "text/html" } };
  assert.equal(code(page, [Buffer.from("<html>")]), "invalid_response");
  assert.equal(code({ status: 429, headers: {} }, [Buffer.from('{"error":{"message":"slow"}}')]), "rate_limited");
  assert.equal(code(STREAM, [chunk({ content: "a" })]), "invalid_response");
  assert.equal(code(STREAM, [{ data: '{"error":{"message":"overloaded","code":503}}' }]), "unavailable");
  assert.equal(code(STREAM, [{ data: "not json" }]), "invalid_response");
});

test("models are listed", () => {
  const body = Buffer.from('{"object":"list","data":[{"id":"a"},{"id":"b"}]}');
  assert.deepEqual(driver.discovery.decode(200, body).map(({ id }) => id), ["a", "b"]);
  assert.equal(driver.discovery.begin({ baseUrl: BASE.baseUrl, metadata: null }).url, "http://localhost:8000/v1/models");
});

test("the recorded requests are those that are sent", async () => {
  const { exchanges } = JSON.parse(await readFile(new URL("../exchanges.json", import.meta.url), "utf8"));
  for (const { name, config, request, http } of exchanges) {
    const messages = request.messages.map(({ role, content }) => ({ role, blocks: content.map(({ text }) => ({ tag: "part", val: { tag: "text", val: text } })) }));
    const tools = (request.tools ?? []).map((tool) => ({ name: tool.name, description: tool.description, inputSchema: JSON.stringify(tool.input_schema) }));
    const record = requestRecord({ model: request.model, instructions: request.system_prompt, messages, tools, temperature: request.temperature, maxOutputTokens: request.max_output_tokens });
    const sent = complete(driver, { baseUrl: config.base_url, apiKey: config.api_key }, record, STREAM, []);
    assert.deepEqual([sent.url, sent.body], [http.url, http.body], name);
  }
});
