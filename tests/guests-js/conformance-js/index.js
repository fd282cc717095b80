/** What `everwit conformance` asks for, as an author writes it in JavaScript. */
import { call, capability, Failure, fetch, files, kv, output, part, tool } from "@everwit/guest";

const anything = { type: "object", properties: {} };
const withValue = { type: "object", properties: { value: {} }, required: ["value"] };
const texts = { type: "object", properties: { names: { type: "array", items: { type: "string" } } }, required: ["names"] };
const one = (/** @type {string} */ name, /** @type {string} */ type) => ({ type: "object", properties: { [name]: { type } }, required: [name] });

const definition = {
  id: "conformance-js", title: "Conformance", version: "0.1.0", summary: "Does what a conformance check asks for.",
  permissions: { http: [{ host: "conformance.test:80", reason: "The check's own server" }], kv: ["notes"], files: "write" },
  tools: {
    echo: tool({ description: "Returns its argument.", effects: ["read-only"], input: withValue, run: ({ value }) => ({ value }) }),
    measure: tool({
      description: "Measures a text.",
      input: one("text", "string"),
      run: ({ text }) => ({ bytes: new TextEncoder().encode(text).length }),
    }),
    repeat: tool({ description: "Returns a long text.", input: one("bytes", "integer"), run: ({ bytes }) => "x".repeat(bytes) }),
    fail: tool({
      description: "Fails as expected.",
      input: anything,
      run: () => {
        throw new Failure("not-found", "there is no such thing", { code: "no_such_thing", retryable: true, retryAfterMs: 1500 });
      },
    }),
    crash: tool({
      description: "Fails as nobody expects.",
      input: anything,
      run: () => {
        throw new TypeError("on purpose");
      },
    }),
    spin: tool({
      description: "Never ends.",
      input: anything,
      run: () => {
        for (;;);
      },
    }),
    wait: tool({
      description: "Waits until it should stop.",
      input: anything,
      run: () => {
        for (;;) {
          const stop = call.progress(1, 3, "waiting") ?? call.stopped();
          if (stop) return stop;
        }
      },
    }),
    stream: tool({
      description: "Says two things, one at once.",
      input: anything,
      run: () => {
        call.emit("one");
        return "two";
      },
    }),
    remember: tool({
      description: "Remembers a value, and returns the one before.",
      input: withValue,
      run: ({ value }) => {
        const notes = kv.bucket("notes");
        const before = notes.getJson("last");
        notes.putJson("last", value);
        return { before };
      },
    }),
    note: tool({
      description: "Notes a text in a file, and returns the one before.",
      input: one("text", "string"),
      effects: ["destructive"],
      run: ({ text }) => {
        const path = "/notes/last.txt";
        const before = files.stat(path) ? files.readText(path) : null;
        files.write(path, text);
        return { before };
      },
    }),
    fetch: tool({
      description: "Fetches a page.",
      input: one("path", "string"),
      run: async ({ path }) => {
        const answer = await fetch(`http://conformance.test${path}`);
        return { status: answer.status, body: answer.text() };
      },
    }),
    environment: tool({
      description: "Looks for variables; the engine has no process.",
      input: texts,
      run: ({ names }) => ({ found: names.filter((name) => globalThis.process?.env?.[name] !== undefined), arguments: globalThis.scriptArgs?.length ?? 0 }),
    }),
    chance: tool({ description: "Draws a number and tells the time.", input: anything, run: () => ({ number: Math.random(), now_ms: Date.now() }) }),
    log: tool({
      description: "Logs a warning.",
      input: anything,
      run: () => {
        console.warn("a warning");
        return "logged";
      },
    }),
  },
};

export const { describe, tools } = capability(definition);
