/**
 * Checks a capability's definition and translates it into the `description` record of the
 * contract. All problems are reported at once.
 */
import { describeValue, kindOf, toBag, toText } from "./seam.js";
import { byteLength } from "./utf8.js";

const ID = /^[a-z0-9]+(-[a-z0-9]+)*$/;
const TOOL_NAME = /^[a-z][a-z0-9_]*$/;
const BUCKET = /^[a-z0-9-]{1,64}$/;
const SEMVER = /^(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(-[0-9A-Za-z.-]+)?(\+[0-9A-Za-z.-]+)?$/;
const HOST = /^(\*\.)?[a-z0-9]([a-z0-9.-]*[a-z0-9])?(:\d{1,5})?$|^\[[0-9a-f:.]+\](:\d{1,5})?$/;

const MAX_NAME_BYTES = 64;
const MAX_TITLE_BYTES = 128;
const MAX_SUMMARY_BYTES = 1024;
const MAX_TOOL_DESCRIPTION_BYTES = 4096;
const MAX_INSTRUCTIONS_BYTES = 16 * 1024;
const MAX_SCHEMA_BYTES = 16 * 1024;
const MAX_TOOLS = 128;

const EFFECTS = ["read-only", "destructive", "idempotent", "open-world"];
const FILES = ["none", "read", "write"];

const CAPABILITY_KEYS = [
  "id", "title", "version", "summary", "instructions", "config", "tools", "dependencies",
  "features", "permissions", "extra", "dynamicInstructions", "validateConfig", "health",
];
const TOOL_KEYS = ["title", "description", "effects", "input", "output", "run", "extra"];
const PERMISSION_KEYS = ["http", "secrets", "files", "kv", "tools", "extra"];
const HTTP_KEYS = ["host", "methods", "pathPrefix", "reason"];
const SECRET_KEYS = ["name", "title", "host", "place", "required"];

/** A schema that accepts the empty object only. */
const NO_ARGUMENTS = { type: "object", properties: {}, additionalProperties: false };

/** Collects problems, each with the path of what it is about. */
export class Findings {
  /** @type {string[]} */
  list = [];

  /**
   * @param {string} path
   * @param {string} problem
   */
  add(path, problem) {
    this.list.push(`${path} ${problem}`);
  }

  /**
   * A string of at most `max` bytes; required unless `optional`.
   * @param {string} path
   * @param {unknown} value
   * @param {number} max
   * @param {{ optional?: boolean, pattern?: RegExp, hint?: string }} [options]
   */
  text(path, value, max, { optional = false, pattern, hint } = {}) {
    if (value === undefined || value === null) {
      if (!optional) this.add(path, "is missing");
      return "";
    }
    if (typeof value !== "string") {
      this.add(path, `must be a string, not ${kindOf(value)}`);
      return "";
    }
    const size = byteLength(value);
    if (size > max) this.add(path, `has ${size} bytes, over the limit of ${max}: shorten it`);
    if (pattern && !pattern.test(value)) this.add(path, `is "${value}", which is not ${hint}`);
    return toText(value);
  }

  /**
   * An array, empty if absent.
   * @param {string} path
   * @param {unknown} value
   * @returns {any[]}
   */
  array(path, value) {
    if (value === undefined || value === null) return [];
    if (Array.isArray(value)) return value;
    this.add(path, `must be an array, not ${kindOf(value)}`);
    return [];
  }

  /**
   * A plain object, empty if absent, with known keys only.
   * @param {string} path
   * @param {unknown} value
   * @param {string[]} [keys]
   * @returns {Record<string, any>}
   */
  object(path, value, keys) {
    if (value === undefined || value === null) return {};
    if (typeof value !== "object" || Array.isArray(value)) {
      this.add(path, `must be an object, not ${kindOf(value)}`);
      return {};
    }
    for (const key of keys ? Object.keys(value) : []) {
      if (!keys?.includes(key)) this.add(`${path}.${key}`, `is unknown; known: ${keys?.join(", ")}`);
    }
    return value;
  }

  /**
   * JSON text of a schema.
   * @param {string} path
   * @param {unknown} value
   */
  schema(path, value) {
    if (typeof value !== "object" || value === null || Array.isArray(value)) {
      this.add(path, `must be a JSON Schema object, not ${kindOf(value)}`);
      return "{}";
    }
    try {
      const text = JSON.stringify(value);
      const size = byteLength(text);
      if (size > MAX_SCHEMA_BYTES) this.add(path, `has ${size} bytes of JSON, over the limit of ${MAX_SCHEMA_BYTES}: shorten it`);
      return text;
    } catch (error) {
      this.add(path, `is not JSON: ${describeValue(error)}`);
      return "{}";
    }
  }
}

/**
 * The `description` record of a definition; throws a `TypeError` that lists every problem.
 * @param {any} definition
 */
export function toDescription(definition) {
  const findings = new Findings();
  const own = findings.object("capability", definition, CAPABILITY_KEYS);
  const tools = Object.entries(findings.object("tools", own.tools));
  if (tools.length > MAX_TOOLS) findings.add("tools", `has ${tools.length} tools, over the limit of ${MAX_TOOLS}: split the capability`);
  for (const hook of ["dynamicInstructions", "validateConfig", "health"]) {
    if (own[hook] !== undefined && typeof own[hook] !== "function") findings.add(hook, `must be a function, not ${kindOf(own[hook])}`);
  }
  const description = {
    id: findings.text("id", own.id, MAX_NAME_BYTES, { pattern: ID, hint: 'lower-case words joined by "-"' }),
    title: findings.text("title", own.title, MAX_TITLE_BYTES),
    version: findings.text("version", own.version, MAX_NAME_BYTES, { pattern: SEMVER, hint: 'a semantic version like "1.2.0"' }),
    summary: findings.text("summary", own.summary, MAX_SUMMARY_BYTES),
    instructions: findings.text("instructions", own.instructions, MAX_INSTRUCTIONS_BYTES, { optional: true }) || null,
    configSchema: findings.schema("config", own.config ?? {}),
    tools: tools.map(([name, spec]) => toTool(findings, name, spec)),
    dependencies: findings.array("dependencies", own.dependencies).map((id, at) =>
      findings.text(`dependencies[${at}]`, id, MAX_NAME_BYTES, { pattern: ID, hint: "the id of a capability" })),
    features: findings.array("features", own.features).map((flag, at) => findings.text(`features[${at}]`, flag, MAX_NAME_BYTES)),
    permissions: toPermissions(findings, own.permissions),
    extra: toBag(findings.object("extra", own.extra)),
  };
  if (findings.list.length > 0) {
    throw new TypeError(`the definition of the capability "${own.id}" is not valid:\n- ${findings.list.join("\n- ")}`);
  }
  return description;
}

/**
 * @param {Findings} findings
 * @param {string} name
 * @param {unknown} value
 */
function toTool(findings, name, value) {
  const path = `tools.${name}`;
  const spec = findings.object(path, value, TOOL_KEYS);
  findings.text(`the name of ${path}`, name, MAX_NAME_BYTES, { pattern: TOOL_NAME, hint: 'made of a-z, 0-9 and "_", beginning with a letter' });
  if (typeof spec.run !== "function") findings.add(`${path}.run`, `must be a function, not ${kindOf(spec.run)}`);
  const input = spec.input ?? NO_ARGUMENTS;
  if (input.type !== "object") findings.add(`${path}.input`, 'must describe an object: set "type" to "object"');
  return {
    name,
    title: findings.text(`${path}.title`, spec.title ?? titleOf(name), MAX_TITLE_BYTES),
    description: findings.text(`${path}.description`, spec.description, MAX_TOOL_DESCRIPTION_BYTES),
    inputSchema: findings.schema(`${path}.input`, input),
    outputSchema: spec.output === undefined ? null : findings.schema(`${path}.output`, spec.output),
    effects: toEffects(findings, `${path}.effects`, spec.effects),
    extra: toBag(findings.object(`${path}.extra`, spec.extra)),
  };
}

/**
 * @param {Findings} findings
 * @param {string} path
 * @param {unknown} value
 */
function toEffects(findings, path, value) {
  const effects = findings.array(path, value);
  for (const effect of effects) {
    if (!EFFECTS.includes(effect)) findings.add(path, `has "${effect}", which is not one of ${EFFECTS.join(", ")}`);
  }
  const has = (/** @type {string} */ effect) => effects.includes(effect);
  if (has("read-only") && has("destructive")) findings.add(path, "cannot be read-only and destructive");
  return { readOnly: has("read-only"), destructive: has("destructive"), idempotent: has("idempotent"), openWorld: has("open-world") };
}

/**
 * @param {Findings} findings
 * @param {unknown} value
 */
function toPermissions(findings, value) {
  const asked = findings.object("permissions", value, PERMISSION_KEYS);
  const files = asked.files ?? "none";
  if (!FILES.includes(files)) findings.add("permissions.files", `is "${files}", which is not one of ${FILES.join(", ")}`);
  return {
    http: findings.array("permissions.http", asked.http).map((entry, at) => toHttpPermission(findings, `permissions.http[${at}]`, entry)),
    secrets: findings.array("permissions.secrets", asked.secrets).map((entry, at) => toSecretPermission(findings, `permissions.secrets[${at}]`, entry)),
    files,
    kv: findings.array("permissions.kv", asked.kv).map((bucket, at) =>
      findings.text(`permissions.kv[${at}]`, bucket, MAX_NAME_BYTES, { pattern: BUCKET, hint: 'a bucket name of a-z, 0-9 and "-"' })),
    tools: findings.array("permissions.tools", asked.tools).map((tool, at) => findings.text(`permissions.tools[${at}]`, tool, 2 * MAX_NAME_BYTES + 1)),
    extra: toBag(findings.object("permissions.extra", asked.extra)),
  };
}

/**
 * @param {Findings} findings
 * @param {string} path
 * @param {unknown} value a host, or an object
 */
function toHttpPermission(findings, path, value) {
  const entry = findings.object(path, typeof value === "string" ? { host: value } : value, HTTP_KEYS);
  return {
    host: findings.text(`${path}.host`, entry.host, 255, { pattern: HOST, hint: 'a host name in lower case, like "api.example.com" or "*.example.com", without scheme or path' }),
    methods: findings.array(`${path}.methods`, entry.methods).map((method) => toText(method).toUpperCase()),
    pathPrefix: findings.text(`${path}.pathPrefix`, entry.pathPrefix, MAX_SUMMARY_BYTES, { optional: true, pattern: /^\//, hint: 'a path that begins with "/"' }) || null,
    reason: findings.text(`${path}.reason`, entry.reason ?? "", MAX_SUMMARY_BYTES),
  };
}

/**
 * @param {Findings} findings
 * @param {string} path
 * @param {unknown} value
 */
function toSecretPermission(findings, path, value) {
  const entry = findings.object(path, value, SECRET_KEYS);
  const name = findings.text(`${path}.name`, entry.name, MAX_NAME_BYTES, { pattern: ID, hint: "in kebab-case" });
  return {
    name,
    title: findings.text(`${path}.title`, entry.title ?? titleOf(name), MAX_TITLE_BYTES),
    host: findings.text(`${path}.host`, entry.host, 255, { pattern: HOST, hint: "a host name in lower case" }),
    place: findings.text(`${path}.place`, entry.place, 255, { pattern: /^(header|query):.+$/, hint: '"header:<name>" or "query:<name>"' }),
    required: entry.required ?? true,
  };
}

/**
 * "word_count" → "Word count".
 * @param {string} name
 */
function titleOf(name) {
  const words = name.replaceAll(/[_-]/g, " ");
  return words.charAt(0).toUpperCase() + words.slice(1);
}
