import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { test } from "node:test";
import { invoke } from "@everwit/guest/testing";
import { oracleLinks } from "./oracle.js";

const textKit = await import("../src/index.js");
const { MAX_COMPARISONS, MAX_LINKS, MAX_SLUG_TEXT, MAX_TEXT } = await import("../src/limits.js");

/** The structured result of a tool. */
async function call(tool, args, context) {
  const outcome = await invoke(textKit, tool, args, context);
  assert.equal(outcome.ok, true, JSON.stringify(outcome));
  return outcome.structured;
}

/** Checks the failure of a tool. */
async function refuses(tool, args, code, message) {
  const { failure } = await invoke(textKit, tool, args);
  assert.deepEqual({ kind: failure?.kind, code: failure?.code, message: failure?.message }, { kind: "invalid-arguments", code, message });
}

/** Checks some counts of a text. */
async function counts(text, expected, args = {}) {
  const result = await call("stats", { text, ...args });
  assert.deepEqual(Object.fromEntries(Object.keys(expected).map((key) => [key, result[key]])), expected, text);
}

test("stats: nothing", () =>
  counts("", { characters: 0, words: 0, sentences: 0, lines: 0, paragraphs: 0, words_per_sentence: 0, reading_seconds: 0, top_words: [] }));

test("stats: characters are code points", async () => {
  await counts("🌍 é e\u0301", { characters: 6, characters_without_spaces: 4 });
  await counts("a\u00a0b\tc", { characters: 5, characters_without_spaces: 3, words: 3 });
});

test("stats: words", async () => {
  await counts("Don’t stop: well-known 3.5 kg, 1,000 -- e-mail's 'quoted' words.", { words: 9 });
  await counts("naïve Ελλάδα русский हिन्दी ไทย", { words: 5 });
  await counts("你好世界。ひらがな and Kanji", { words: 10 });
  await counts("a/b a_b a.b", { words: 6 });
});

test("stats: sentences", async () => {
  await counts('"Really?" she said. Yes! It costs 3.50, e.g. at Dr. Who\'s. I do', { sentences: 4 });
  await counts("J. R. R. Tolkien wrote it... He did. So did I. Then?!", { sentences: 4 });
  await counts("A heading\n\nOne. Two.\nThree", { sentences: 4 });
  await counts("你好。世界！“吗？”他说。 Done.", { sentences: 5 });
  await counts("... !!! ---", { sentences: 0 });
});

test("stats: lines and paragraphs with any line break", async () => {
  for (const text of ["a\nb\n\n\nc\n", "a\r\nb\r\n\r\n\r\nc\r\n", "a\rb\r\r\rc\r"]) await counts(text, { lines: 5, paragraphs: 2 });
  await counts("a\n \t \nb", { lines: 3, paragraphs: 2 });
  await counts("\n\n", { lines: 2, paragraphs: 0 });
});

test("stats: top words", async () => {
  const text = "The cat and the dog. THE END; don't, Don’t.";
  await counts(text, { top_words: [{ word: "the", count: 3 }, { word: "don't", count: 2 }, { word: "and", count: 1 }] }, { top: 3 });
  await counts(text, { top_words: [{ word: "don't", count: 2 }] }, { min_word_length: 4 });
  await counts(text, { top_words: [{ word: "cat", count: 1 }, { word: "dog", count: 1 }, { word: "end", count: 1 }] }, { ignore: ["The", "AND", "don’t"] });
  await counts(text, { top_words: [] }, { top: 0 });
  await counts("word ".repeat(200), { reading_seconds: 60 }, { words_per_minute: 200 });
});

/** Checks kind, URL and text of the links of a text. */
async function finds(text, expected, args = {}) {
  const { links } = await call("links", { text, ...args });
  assert.deepEqual(links.map(({ kind, url, text: shown }) => [kind, url, shown]), expected, text);
  for (const { start, end, text: shown, kind } of links) {
    if (kind === "bare") assert.equal([...text].slice(start, end).join(""), shown);
  }
}

test("links: plain text", async () => {
  const text = "See https://a.example/x(y), (http://b.example/?q=1&r=2#f). Mail a.b+c@d.example or mailto:e@f.example! [no](https://g.example) `https://h.example`";
  await finds(text, [
    ["bare", "https://a.example/x(y)", "https://a.example/x(y)"],
    ["bare", "http://b.example/?q=1&r=2#f", "http://b.example/?q=1&r=2#f"],
    ["bare", "mailto:a.b+c@d.example", "a.b+c@d.example"],
    ["bare", "mailto:e@f.example", "mailto:e@f.example"],
    ["bare", "https://g.example", "https://g.example"],
    ["bare", "https://h.example", "https://h.example"],
  ], { format: "text" });
  await finds("ftp://a.example javascript:b @handle a@b //c.example http:// https://", [], { format: "text" });
});

test("links: positions count code points, lines any line break", async () => {
  const { links } = await call("links", { text: "🌍🌍\r\n[é🌍](u)\rhttps://a.example" });
  assert.deepEqual(links, [
    { kind: "link", url: "u", text: "é🌍", start: 4, end: 11, line: 2 },
    { kind: "bare", url: "https://a.example", text: "https://a.example", start: 12, end: 29, line: 3 },
  ]);
});

test("links: unique and truncated", async () => {
  const text = "[a](u) [b](u) [c](v) ";
  assert.equal((await call("links", { text, unique: true })).count, 2);
  const many = await call("links", { text: "[a](u) ".repeat(MAX_LINKS + 1) });
  assert.deepEqual([many.count, many.truncated, many.links.length], [MAX_LINKS + 1, true, MAX_LINKS]);
});

const TRICKY = [
  "[a](<b c> 'd')[e](f(g)h)[i](j\\)k \"l \\\"m\\\"\")",
  "[a [b](c) d](e) ![a [b](c) d](e) [![a](b)](c) [a ![b][c] d][e]\n\n[c]: x\n[e]: y",
  "[A  b\nc] [a b C][] [x][A B c]\n\n[a b c]: <u v> (t)\n[a b c]: second",
  "[a]: u\n[b]: v 'w\nx'\n[c]:\ny\ntext [a] [b] [c] [d]",
  "`[a](b)` ``c ` [d](e)`` `[f](g) \\`[h](i)` \\\\[j](k)",
  "<https://a.b> <c@d.e> <f:g> <no link> <a href='https://h.i'>[j](k)</a> <!-- [l](m) -->",
  "> [a](b\n> 'c') and\nlazy [d](e)\n\n> - [f](g)\n>\n>   [h](i)\n>\n>       [code](x)",
  "1. [a](b)\n   ```\n   [c](d)\n   ```\n2) [e](f)\n\n    [g](h)\n\n        [code](x)\n- \n  [i](j)",
  "~~~ x\n[a](b)\n~~\n[c](d)\n~~~~\n[e](f)\n```\n[g](h)",
  "<div>\n[a](b)\n\n[c](d)\n<pre>\n\n[e](f)\n</pre>\n[g](h)\n<x-y>\n[i](j)\n\n<!-- \n\n[k](l) -->\n[m](n)",
  "# [a](b) #\n[c](d)\n===\n[e](f)\n---\n    [g](h)\n\n    [i](j)\n***\n\t[k](l)",
  "https://a.b/c). https://a.b/(c)) **https://d.e/f** _www.g.h_ https://i.j/k&amp; http://l_m.n/o?p=q,r. x@y.z- a@b_c.d",
  "[https://a.b](c) [x https://a.b y] [z](https://d.e 'f') [&amp;\\* g](h&lt;i)",
  "[a](b c) [d](e 'f' g) [h] (i) [j](\nk\n) [l](m\n\nn) []( ) [](<>)",
];

test("links: sees what a full Markdown parser sees", async () => {
  const root = new URL("../node_modules/", import.meta.url);
  const names = (await readdir(root, { recursive: true })).filter((name) => /\.md$/i.test(name)).sort();
  assert.ok(names.length > 20, `only ${names.length} documents to compare with`);
  const documents = [...TRICKY, ...names.map((name) => readFileSync(new URL(name, root), "utf8"))];
  let total = 0;
  for (const document of documents.filter((text) => text.length <= MAX_TEXT && !/[\ud800-\udbff\r]/.test(text))) {
    const { links, truncated } = await call("links", { text: document });
    if (truncated) continue;
    const seen = links.map(({ kind, url, text, title, start }) => ({ reference: kind === "reference", url, text: text.replaceAll(/\s+/g, " "), title, start }));
    const expected = oracleLinks(document).sort((a, b) => a.start - b.start || b.end - a.end);
    assert.deepEqual(
      seen,
      expected.map(({ reference, url, text, title, start }, at) => ({ reference, url, text: text.replaceAll(/\s+/g, " "), title, start: start ?? seen[at]?.start })),
      document.slice(0, 300),
    );
    total += links.length;
  }
  assert.ok(total > 500, `only ${total} links compared`);
});

test("slugify: language, separator, length and script", async () => {
  const text = "Ärger über Ångström, Bjørn's Größe";
  assert.equal(await call("slugify", { text }), "arger-uber-angstrom-bjorns-grosse");
  assert.equal(await call("slugify", { text, language: "de-AT" }), "aerger-ueber-angstroem-bjorns-groesse");
  assert.equal(await call("slugify", { text }, { locale: "de" }), "aerger-ueber-angstroem-bjorns-groesse");
  assert.equal(await call("slugify", { text, language: "en" }, { locale: "de" }), "arger-uber-angstrom-bjorns-grosse");
  assert.equal(await call("slugify", { text, language: "da", separator: "_" }), "arger_uber_aangstrom_bjoerns_grosse");
  assert.equal(await call("slugify", { text, max_length: 20 }), "arger-uber-angstrom");
  assert.equal(await call("slugify", { text, max_length: 3 }), "arg");
  assert.equal(await call("slugify", { text: "Привет, мир 世界!", unicode: true }), "привет-мир-世界");
  assert.equal(await call("slugify", { text: "Hello Привет" }), "hello");
});

test("slugify: refuses what leaves nothing", async () => {
  await refuses("slugify", { text: "Привет" }, "empty_slug", "text has no letter or digit that a slug can be made of: give another text, or set unicode to keep letters of other scripts");
  await refuses("slugify", { text: "!?", unicode: true }, "empty_slug", "text has no letter or digit that a slug can be made of: give a text with letters or digits");
});

/** The unified diff of two texts, without its header. */
async function hunks(before, after, args) {
  return (await call("diff", { before, after, ...args })).unified.split("\n").slice(2).join("\n");
}

test("diff: edges", async () => {
  assert.deepEqual(await call("diff", { before: "a\n", after: "a\n" }), { identical: true, added: 0, removed: 0, hunks: 0, unified: "" });
  assert.equal(await hunks("", "a\nb\n"), "@@ -0,0 +1,2 @@\n+a\n+b\n");
  assert.equal(await hunks("a\n", ""), "@@ -1 +0,0 @@\n-a\n");
  assert.equal(await hunks("a", "a\n"), "@@ -1 +1 @@\n-a\n\\ No newline at end of file\n+a\n");
  assert.equal(await hunks("a\nb\nc\n", "a\nc\n", { context: 0 }), "@@ -2 +1,0 @@\n-b\n");
  assert.equal(await hunks("a\n b\n", "a  \nb\n", { ignore_whitespace: true }), "");
});

test("diff: hunks join where their context touches", async () => {
  const lines = Array.from({ length: 20 }, (_, at) => `${at}\n`);
  const changed = (...places) => lines.map((line, at) => (places.includes(at) ? "x\n" : line)).join("");
  const count = async (...places) => (await call("diff", { before: lines.join(""), after: changed(...places) })).hunks;
  assert.equal(await count(5, 12), 1);
  assert.equal(await count(5, 13), 2);
  assert.equal(await count(0, 19), 2);
});

test("diff: finds as few changes as possible", async () => {
  const before = "a b c a b b a".replaceAll(" ", "\n") + "\n";
  const after = "c b a b a c".replaceAll(" ", "\n") + "\n";
  const { added, removed } = await call("diff", { before, after });
  assert.equal(added + removed, 5);
});

test("all tools name their limits", async () => {
  const long = "a".repeat(MAX_TEXT + 1);
  const message = (what) => `${what} has ${MAX_TEXT + 1} characters, over the limit of ${MAX_TEXT}: split it and call once per part`;
  await refuses("stats", { text: long }, "too_large", message("text"));
  await refuses("links", { text: long }, "too_large", message("text"));
  await refuses("diff", { before: "", after: long }, "too_large", message("after"));
  await refuses("slugify", { text: "a".repeat(MAX_SLUG_TEXT + 1) }, "too_large", `text has ${MAX_SLUG_TEXT + 1} characters, over the limit of ${MAX_SLUG_TEXT}: split it and call once per part`);
  const scrambled = (step) => Array.from({ length: MAX_COMPARISONS / 100 }, (_, at) => `${(at * step) % 7}\n`).join("");
  await refuses("diff", { before: scrambled(3), after: scrambled(5) + scrambled(11) }, "too_large", "before and after differ in too many lines that occur on both sides: compare parts of them");
});
