import assert from "node:assert/strict";
import { test } from "node:test";
import { toDescription } from "../src/definition.js";

const MINIMAL = { id: "x", title: "X", version: "1.0.0", summary: "s" };
const TOOL = { description: "d", run: () => "" };

/** Checks the problems that a definition has beside those of the minimal one. */
function refuses(definition, ...problems) {
  let message = "";
  try {
    toDescription({ ...MINIMAL, ...definition });
  } catch (error) {
    message = error.message;
  }
  assert.deepEqual(message.split("\n- ").slice(1), problems);
}

test("fills in what is left out", () => {
  assert.deepEqual(toDescription({ ...MINIMAL, tools: { word_count: TOOL } }), {
    ...MINIMAL,
    instructions: null,
    configSchema: "{}",
    tools: [{
      name: "word_count",
      title: "Word count",
      description: "d",
      inputSchema: '{"type":"object","properties":{},"additionalProperties":false}',
      outputSchema: null,
      effects: { readOnly: false, destructive: false, idempotent: false, openWorld: false },
      extra: [],
    }],
    dependencies: [],
    features: [],
    permissions: { http: [], secrets: [], files: "none", kv: [], tools: [], extra: [] },
    extra: [],
  });
});

test("translates permissions", () => {
  const { permissions } = toDescription({
    ...MINIMAL,
    permissions: {
      http: ["api.example.com", { host: "*.example.com:8443", methods: ["post"], pathPrefix: "/v1", reason: "why" }],
      secrets: [{ name: "api-key", host: "api.example.com", place: "header:authorization" }],
      kv: ["notes"],
      files: "read",
      tools: ["other/tool"],
      extra: { later: "yes" },
    },
  });
  assert.deepEqual(permissions, {
    http: [
      { host: "api.example.com", methods: [], pathPrefix: null, reason: "" },
      { host: "*.example.com:8443", methods: ["POST"], pathPrefix: "/v1", reason: "why" },
    ],
    secrets: [{ name: "api-key", title: "Api key", host: "api.example.com", place: "header:authorization", required: true }],
    files: "read",
    kv: ["notes"],
    tools: ["other/tool"],
    extra: [["later", "yes"]],
  });
});

test("reports all problems at once", () => {
  refuses(
    { id: "No Good", version: "1", tools: { "bad-name": { description: 1, effects: ["read-only", "destructive", "magic"] } } },
    'id is "No Good", which is not lower-case words joined by "-"',
    'version is "1", which is not a semantic version like "1.2.0"',
    'the name of tools.bad-name is "bad-name", which is not made of a-z, 0-9 and "_", beginning with a letter',
    "tools.bad-name.run must be a function, not a value of type undefined",
    "tools.bad-name.description must be a string, not a value of type number",
    'tools.bad-name.effects has "magic", which is not one of read-only, destructive, idempotent, open-world',
    "tools.bad-name.effects cannot be read-only and destructive",
  );
});

test("refuses what is missing, misspelt or of the wrong type", () => {
  refuses({ summary: undefined }, "summary is missing");
  refuses({ permission: {} }, "capability.permission is unknown; known: id, title, version, summary, instructions, config, tools, dependencies, features, permissions, extra, dynamicInstructions, validateConfig, health");
  refuses({ tools: [] }, "tools must be an object, not an array");
  refuses({ permissions: { kv: "notes" } }, "permissions.kv must be an array, not a value of type string");
  refuses({ permissions: { files: "all" } }, 'permissions.files is "all", which is not one of none, read, write');
  refuses({ permissions: { http: ["https://example.com/"] } }, 'permissions.http[0].host is "https://example.com/", which is not a host name in lower case, like "api.example.com" or "*.example.com", without scheme or path');
  refuses({ tools: { t: { ...TOOL, input: { type: "string" } } } }, 'tools.t.input must describe an object: set "type" to "object"');
  refuses({ tools: { t: { ...TOOL, output: 1n } } }, "tools.t.output must be a JSON Schema object, not a value of type bigint");
  refuses({ health: true }, "health must be a function, not a value of type boolean");
});

test("refuses what is over a limit, in bytes", () => {
  refuses({ title: "é".repeat(65) }, "title has 130 bytes, over the limit of 128: shorten it");
  refuses({ tools: { t: { ...TOOL, input: { type: "object", description: "x".repeat(16384) } } } }, "tools.t.input has 16418 bytes of JSON, over the limit of 16384: shorten it");
  refuses({ tools: Object.fromEntries(Array.from({ length: 129 }, (_, at) => [`t${at}`, TOOL])) }, "tools has 129 tools, over the limit of 128: split the capability");
});
