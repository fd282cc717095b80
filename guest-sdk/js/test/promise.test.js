import assert from "node:assert/strict";
import { after, test } from "node:test";
import { inspect } from "node:util";
import aplus from "promises-aplus-tests";
import { drainJobs } from "../src/jobs.js";

// The module installs itself as the global; this process needs the platform's own.
const platform = { Promise: globalThis.Promise, queueMicrotask: globalThis.queueMicrotask };
await import("../src/globals/promise.js");
const HostPromise = globalThis.Promise;
Object.assign(globalThis, platform);

const drain = setInterval(drainJobs, 0);
after(() => clearInterval(drain));

test("keeps to Promises/A+", async () => {
  const adapter = { deferred: () => HostPromise.withResolvers(), resolved: (value) => HostPromise.resolve(value), rejected: (reason) => HostPromise.reject(reason) };
  const error = await new platform.Promise((resolve) => aplus(adapter, { reporter: "dot", timeout: 2000 }, resolve));
  assert.equal(error, null);
});

/** Checks how the SDK's and the platform's promise settle for the same code. */
async function same(make) {
  const outcome = (Class) => new platform.Promise((resolve) => {
    make(Class).then((value) => resolve(["fulfilled", value]), (reason) => resolve(["rejected", reason]));
  });
  assert.equal(inspect(await outcome(HostPromise), { depth: 4 }).replaceAll(/^ +at .*\n?/gm, ""), inspect(await outcome(platform.Promise), { depth: 4 }).replaceAll(/^ +at .*\n?/gm, ""));
}

test("combines like the platform's", async () => {
  for (const name of ["all", "allSettled", "race"]) {
    await same((Class) => Class[name]([1, Class.resolve(2), { then: (resolve) => resolve(3) }]));
    await same((Class) => Class[name]([Class.reject("no"), 1]));
    await same((Class) => Class[name](new Set(["a"])));
  }
  await same((Class) => Class.all([]));
  await same((Class) => Class.any([Class.reject("a"), Class.resolve("b"), "c"]));
  await same((Class) => Class.any([Class.reject("a"), Class.reject("b")]).catch((error) => [error.name, error.errors]));
  await same((Class) => Class.any([]).catch((error) => [error.name, error.errors]));
  await same((Class) => Class.all(5).catch((error) => error.name));
});

test("chains like the platform's", async () => {
  await same((Class) => Class.resolve(1).finally(() => 2));
  await same((Class) => Class.reject(1).finally(() => 2));
  await same((Class) => Class.resolve(1).finally(() => { throw 3; }));
  await same((Class) => Class.reject(1).finally(() => Class.reject(4)));
  await same((Class) => Class.resolve(1).catch(() => 2).then((value) => [value]));
  await same((Class) => new Class(() => { throw 5; }));
  await same((Class) => new Class((resolve) => { resolve(6); throw 7; }));
});

test("runs reactions in the platform's order", async () => {
  const order = async (Class) => {
    const seen = [];
    const note = (label) => () => { seen.push(label); };
    Class.resolve().then(note("a1")).then(note("a2")).then(note("a3"));
    Class.resolve(Class.resolve()).then(note("b1")).then(note("b2"));
    new Class((resolve) => resolve(Class.resolve())).then(note("c1"));
    await new platform.Promise((resolve) => setTimeout(resolve, 20));
    return seen;
  };
  assert.deepEqual(await order(HostPromise), await order(platform.Promise));
});

test("is a class to extend", async () => {
  class Task extends HostPromise {}
  assert.ok(Task.resolve(1).then((value) => value) instanceof Task);
  assert.equal(HostPromise.name, "Promise");
  assert.equal(String(Object.prototype.toString.call(Task.resolve())), "[object Promise]");
});
