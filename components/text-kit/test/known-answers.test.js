/** The tools on real texts, against answers computed in another way by testdata/answers.py. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { invoke } from "@everwit/guest/testing";

const textKit = await import("../src/index.js");

const read = (name) => readFileSync(new URL(`../testdata/${name}`, import.meta.url), "utf8");
const answers = JSON.parse(read("answers.json"));

/** The structured result of a tool. */
async function call(tool, args) {
  const outcome = await invoke(textKit, tool, args);
  assert.equal(outcome.ok, true, JSON.stringify(outcome));
  return outcome.structured;
}

test("counts a text", async () => {
  assert.deepEqual(await call("stats", { text: read("pride-and-prejudice.txt") }), answers.stats);
});

test("finds the links of a document", async () => {
  assert.deepEqual(await call("links", { text: read("notes.md") }), answers.links);
});

test("makes slugs", async () => {
  const titles = read("slugs.txt").split("\n").slice(0, -1);
  assert.deepEqual(await Promise.all(titles.map((text) => call("slugify", { text }))), answers.slugs);
});

test("compares two texts", async () => {
  const args = { before: read("before.txt"), after: read("after.txt"), before_name: "before.txt", after_name: "after.txt" };
  assert.deepEqual(await call("diff", args), answers.diff);
});
