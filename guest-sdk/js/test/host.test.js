import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { host } from "../testing/index.js";

const { call, clock, fetch, files, kv, log, random, secrets } = await import("../src/index.js");
const { enterCall } = await import("../src/phase.js");

test("host functions say that they are not there at build time", () => {
  assert.throws(() => kv.bucket("notes").get("k"), /kv needs the host, which is not there at build time/);
  assert.throws(() => fetch("https://example.com"), /fetch needs the host/);
  enterCall();
});

beforeEach(() => host.reset());

test("log writes lines with fields", () => {
  log.warn("careful", { count: 2, list: [1], bad: "\ud800" });
  log.info({ a: 1 });
  assert.deepEqual(host.logs, [
    { level: "warn", message: "careful", fields: { count: "2", list: "[1]", bad: "\ufffd" } },
    { level: "info", message: '{"a":1}', fields: {} },
  ]);
});

test("call reports progress and says when to stop", () => {
  assert.equal(call.remainingMs(), 30_000);
  assert.equal(call.stopped(), null);
  assert.equal(call.progress(1, 3, "é".repeat(1000)), null);
  assert.equal(call.emit("a"), null);
  assert.equal(Buffer.byteLength(host.progress[0].note) <= 1024, true);
  assert.deepEqual(host.emitted, [{ tag: "text", val: "a" }]);
  host.stop = "cancelled";
  assert.equal(call.stopped(), "cancelled");
  assert.equal(call.progress(NaN), "cancelled");
  assert.equal(call.emit(), "cancelled");
});

test("clock and random come from the host", () => {
  host.nowMs = 1234;
  assert.equal(clock.nowMs(), 1234);
  assert.equal(random.bytes(70_000).length, 70_000);
  assert.throws(() => random.bytes(-1), RangeError);
  const numbers = Array.from({ length: 1000 }, random.float);
  assert.ok(numbers.every((number) => number >= 0 && number < 1));
  assert.ok(Math.abs(numbers.reduce((sum, number) => sum + number) / 1000 - 0.5) < 0.05);
  const dice = new Set(Array.from({ length: 200 }, () => random.integer(1, 6)));
  assert.deepEqual([...dice].sort(), [1, 2, 3, 4, 5, 6]);
  assert.throws(() => random.integer(2, 1), RangeError);
  assert.match(random.uuid(), /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
});

test("kv stores bytes, text and JSON", () => {
  host.kv.notes = new Map();
  const notes = kv.bucket("notes");
  assert.equal(notes.get("a"), null);
  assert.equal(notes.getJson("a"), null);
  assert.equal(notes.put("a", "grüße"), 1);
  assert.equal(notes.getText("a"), "grüße");
  assert.equal(notes.putJson("b", { n: 1 }), 1);
  assert.deepEqual(notes.getJson("b"), { n: 1 });
  assert.deepEqual(notes.get("b"), { value: new TextEncoder().encode('{"n":1}'), version: 1 });
  assert.deepEqual(notes.keys({ after: "a" }), ["b"]);
  assert.deepEqual([...notes.allKeys()], ["a", "b"]);
  notes.remove("a");
  assert.equal(notes.get("a"), null);
  assert.throws(() => notes.put("c", 5), /the value of "c" must be a string, a Uint8Array/);
  notes.put("c", "{");
  assert.throws(() => notes.getJson("c"), { code: "kv_not_json" });
});

test("kv updates through conflicts, up to a limit", () => {
  host.kv.notes = new Map();
  const notes = kv.bucket("notes");
  let meddle = 3;
  const value = notes.update("count", (count) => {
    if (meddle-- > 0) notes.putJson("count", (count ?? 0) + 10);
    return (count ?? 0) + 1;
  });
  assert.equal(value, 31);
  assert.throws(() => notes.update("count", (count) => (notes.putJson("count", 0), count)), { kind: "conflict", code: "kv_conflict" });
});

test("kv faults become failures", () => {
  host.kv.notes = new Map();
  const notes = kv.bucket("notes");
  assert.throws(() => kv.bucket("other").get("k"), { kind: "denied", code: "kv_denied", message: 'grant the kv bucket "other"' });
  assert.throws(() => notes.put("k", "x".repeat(300_000)), { kind: "invalid-arguments", code: "kv_too_large" });
  assert.throws(() => notes.put("k", "x", { expected: 4 }), { kind: "conflict", retryable: true });
});

test("files are read, listed and written as granted", () => {
  host.files["/notes/a.txt"] = new TextEncoder().encode("grüße");
  assert.throws(() => files.read("notes/a.txt"), { kind: "denied", code: "files_denied" });
  host.fileAccess = "read";
  assert.equal(files.readText("/workspace/notes/a.txt"), "grüße");
  const piece = files.read("notes/a.txt", { offset: 1, length: 1 });
  assert.deepEqual([...piece.value, piece.size], [114, 7]);
  for (const [path, code] of [["none", "file_not_found"], ["notes", "file_unfit"], ["notes/../a", "invalid_path"]]) {
    assert.throws(() => files.read(path), { code });
  }
  assert.throws(() => files.write("b", ""), { kind: "denied" });
  host.fileAccess = "write";
  const revision = files.write("notes/b.txt", "one", { expected: files.ABSENT });
  assert.equal(files.stat("notes/b.txt").revision, revision);
  assert.throws(() => files.write("notes/b.txt", "two", { expected: "another" }), { kind: "conflict", retryable: true });
  assert.deepEqual([...files.entries()].map(({ path }) => path), ["/notes"]);
  assert.deepEqual([...files.entries("/", { recursive: true })].map(({ path }) => path), ["/notes", "/notes/a.txt", "/notes/b.txt"]);
  assert.deepEqual([files.remove("notes/b.txt"), files.remove("notes/b.txt"), files.stat("notes/b.txt")], [true, false, null]);
});

test("secrets are handles", () => {
  host.secrets.token = "placeholder";
  assert.equal(secrets.open("token").token(), "placeholder");
  assert.throws(() => secrets.open("other"), { kind: "denied", code: "secret_unavailable", message: 'bind the secret "other"' });
});

test("fetch builds requests", () => {
  host.http = () => ({});
  fetch("https://example.com/a?x=1#f", { query: { q: "a b&", list: [1, 2], none: null }, headers: { A: "1", b: undefined } });
  fetch(new URL("https://example.com/"), { json: { a: 1 }, timeoutMs: 500 });
  fetch("https://example.com/", { method: "put", body: Uint8Array.of(1), headers: [["x", "1"], ["x", "2"]] });
  assert.deepEqual(host.requests, [
    { method: "GET", url: "https://example.com/a?x=1&q=a%20b%26&list=1&list=2#f", headers: [["A", "1"]], body: new Uint8Array(0), timeoutMs: null, extra: [] },
    { method: "POST", url: "https://example.com/", headers: [["content-type", "application/json"]], body: new TextEncoder().encode('{"a":1}'), timeoutMs: 500, extra: [] },
    { method: "PUT", url: "https://example.com/", headers: [["x", "1"], ["x", "2"]], body: Uint8Array.of(1), timeoutMs: null, extra: [] },
  ]);
  assert.throws(() => fetch("https://example.com/", { body: "a", json: 1 }), /give body or json, not both/);
});

test("fetch reads responses", () => {
  const respond = (answer) => { host.http = () => answer; return fetch("https://example.com/"); };
  const response = respond({ headers: { "Content-Type": "text/plain" }, body: "\ufeffgrüße" });
  assert.equal(response.headers.get("CONTENT-TYPE"), "text/plain");
  assert.equal(response.headers.get("x"), null);
  assert.equal(response.text(), "grüße");
  assert.deepEqual(respond({ body: { a: 1 } }).ensureOk().json(), { a: 1 });
  assert.equal(respond({ body: new Uint8Array(200_000) }).bytes().length, 200_000);
  assert.deepEqual([...respond({ body: "data: a\n\nevent: end\ndata: b\n\n" }).events()], [{ event: "message", data: "a", id: "" }, { event: "end", data: "b", id: "" }]);
  assert.throws(() => respond({ body: new Uint8Array(70_000) }).bytes({ maxBytes: 65_536 }), { code: "response_too_large", message: /more than 65536 bytes: ask for less, or raise maxBytes/ });
  assert.throws(() => respond({ body: "<html>" }).json(), { kind: "upstream", code: "response_not_json" });
});

test("fetch maps statuses and faults to failures", () => {
  const status = (number, headers) => { host.http = () => ({ status: number, headers }); return () => fetch("https://example.com/").ensureOk(); };
  assert.throws(status(404), { kind: "not-found", code: "http_status_404", retryable: false, message: "GET https://example.com/ answered 404" });
  assert.throws(status(429, { "retry-after": "7" }), { kind: "rate-limited", retryable: true, retryAfterMs: 7000 });
  assert.throws(status(403), { kind: "denied" });
  assert.throws(status(502), { kind: "upstream", retryable: true, retryAfterMs: null });
  const fault = (kind, requestSent, method = "GET") => {
    host.http = () => { throw { kind, message: "m", requestSent, retryAfterMs: null }; };
    return () => fetch("https://example.com/", { method });
  };
  assert.throws(fault("denied", false), { kind: "denied", code: "http_denied", retryable: false, message: "GET https://example.com/: m" });
  assert.throws(fault("connect", false, "POST"), { kind: "upstream", retryable: true });
  assert.throws(fault("timeout", true, "POST"), { kind: "timeout", retryable: false });
  assert.throws(fault("timeout", true), { kind: "timeout", retryable: true });
  assert.throws(fault("brand-new", false), { kind: "upstream", code: "http_brand-new" });
});
