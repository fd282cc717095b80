import assert from "node:assert/strict";
import { test } from "node:test";
import { byteLength, decodeUtf8, encodeUtf8 } from "../src/utf8.js";

const TEXTS = ["", "plain", "grüße", "日本語", "🌍👩‍👩‍👧", "\ud800", "a\udc00b", "\ud83d", "\udf0d\ud83c", "\0\u07ff\u0800\uffff\u{10ffff}"];

test("encodes like the platform", () => {
  for (const text of TEXTS) {
    assert.deepEqual(encodeUtf8(text), new TextEncoder().encode(text), JSON.stringify(text));
    assert.equal(byteLength(text), new TextEncoder().encode(text).length, JSON.stringify(text));
  }
});

test("decodes well-formed text of more than one chunk", () => {
  const text = TEXTS.join("|").toWellFormed().repeat(2000);
  assert.equal(decodeUtf8(new TextEncoder().encode(text)), text);
});

test("decodes ill-formed bytes like the platform", () => {
  const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  // Bytes at which the rules change, in every combination of four.
  const edges = [0x41, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xc2, 0xdf, 0xe0, 0xed, 0xef, 0xf0, 0xf4, 0xf5, 0xff];
  for (const a of edges) for (const b of edges) for (const c of edges) for (const d of edges) {
    const bytes = Uint8Array.of(a, b, c, d);
    if (decodeUtf8(bytes) !== decoder.decode(bytes)) assert.fail(`${[a, b, c, d].map((byte) => byte.toString(16))}`);
  }
});

test("refuses ill-formed bytes when asked to", () => {
  assert.throws(() => decodeUtf8(Uint8Array.of(0x41, 0xff), true), /not UTF-8 at byte 1/);
});
