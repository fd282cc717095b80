/**
 * Turns a definition into the exports of the `everwit:capability` world.
 */
import { toDescription } from "./definition.js";
import { Failure, reportUnexpected, toFailureRecord } from "./failure.js";
import { drainJobs } from "./jobs.js";
import { toOutputRecord } from "./output.js";
import { enterCall } from "./phase.js";
import { describeValue, toText } from "./seam.js";

/** @typedef {import("../types/wit.js").ContextRecord} ContextRecord */
/** @typedef {import("../types/wit.js").OutputRecord} OutputRecord */

/**
 * Definitions by their `tools` export, for tests that run tools without the boundary.
 * @type {WeakMap<object, any>}
 */
const definitions = new WeakMap();

/** Names of the exports of the last definition; the build checks that none is forgotten. */
export let definedExports = /** @type {string[]} */ ([]);

/**
 * Declares a tool; returns its argument, typed.
 * @param {any} spec
 */
export const tool = (spec) => spec;

/**
 * Makes the exports of a capability component from its definition.
 * @param {any} definition
 * @returns {any}
 */
export function capability(definition) {
  const description = toDescription(definition);
  /** @type {Record<string, object>} */
  const exports = { describe: { describe: () => description }, tools: { call: toolCall(definition) } };
  if (definition.dynamicInstructions) exports.dynamicInstructions = { instructions: dynamicInstructions(definition) };
  if (definition.validateConfig) exports.configValidation = { validate: configValidation(definition) };
  if (definition.health) exports.health = { check: healthCheck(definition) };
  definitions.set(exports.tools, definition);
  return defineExports(exports);
}

/**
 * Notes what a definition exports, for the build's check.
 * @template {Record<string, object>} E
 * @param {E} exports
 * @returns {E}
 */
export function defineExports(exports) {
  definedExports = Object.keys(exports);
  return exports;
}

/**
 * Starts a tool and returns what it returns, which may be a promise.
 * @param {object} tools the `tools` export
 * @param {ContextRecord} context
 * @param {string} name
 * @param {string} json
 */
export function startTool(tools, context, name, json) {
  return start(definitions.get(tools), context, name, json);
}

/**
 * @param {any} definition
 * @returns {(context: ContextRecord, name: string, json: string) => OutputRecord}
 */
function toolCall(definition) {
  return (context, name, json) => {
    enterCall();
    try {
      const value = settle(start(definition, context, name, json), `the tool "${name}"`);
      return toOutputRecord(value, name, definition.tools[name].output !== undefined);
    } catch (thrown) {
      throw toFailureRecord(thrown);
    }
  };
}

/**
 * @param {any} definition
 * @returns {(context: ContextRecord) => string | null}
 */
function dynamicInstructions(definition) {
  return (context) => {
    enterCall();
    try {
      const text = settle(definition.dynamicInstructions(toContext(context)), "dynamicInstructions");
      return text == null ? null : toText(text);
    } catch (thrown) {
      // This export has no error case; no contribution is better than a trap.
      reportUnexpected(thrown);
      return null;
    }
  };
}

/**
 * @param {any} definition
 * @returns {(config: string) => void}
 */
function configValidation(definition) {
  return (config) => {
    enterCall();
    let problems;
    try {
      problems = settle(definition.validateConfig(JSON.parse(config)), "validateConfig") ?? [];
      if (!Array.isArray(problems)) problems = [problems];
    } catch (thrown) {
      problems = [describeValue(thrown)];
    }
    if (problems.length > 0) throw problems.map(toText);
  };
}

/**
 * @param {any} definition
 * @returns {(context: ContextRecord) => void}
 */
function healthCheck(definition) {
  return (context) => {
    enterCall();
    try {
      settle(definition.health(toContext(context)), "health");
    } catch (thrown) {
      throw toFailureRecord(thrown);
    }
  };
}

/**
 * @param {any} definition
 * @param {ContextRecord} context
 * @param {string} name
 * @param {string} json
 */
function start(definition, context, name, json) {
  const tools = definition.tools ?? {};
  if (!Object.hasOwn(tools, name)) {
    const known = Object.keys(tools).join(", ") || "none";
    throw new Failure("not-found", `there is no tool "${name}"; the tools are: ${known}`, { code: "unknown_tool" });
  }
  return tools[name].run(parseArguments(name, json), toContext(context));
}

/**
 * @param {string} name
 * @param {string} json
 */
function parseArguments(name, json) {
  let value;
  try {
    value = JSON.parse(json);
  } catch (error) {
    throw new Failure("invalid-arguments", `the arguments of "${name}" are not JSON: ${describeValue(error)}`);
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new Failure("invalid-arguments", `the arguments of "${name}" must be a JSON object`);
  }
  return value;
}

/**
 * @param {ContextRecord} record
 * @returns {import("../types/index.js").Context}
 */
function toContext(record) {
  return {
    org: record.org,
    session: record.session,
    turn: record.turn,
    idempotencyKey: record.idempotencyKey,
    config: JSON.parse(record.config || "{}"),
    locale: record.locale ?? null,
    extra: Object.fromEntries(record.extra),
  };
}

/**
 * The value of a result that may be a promise. Host calls wait by themselves, so once the
 * job queue is empty nothing is left that could settle it.
 * @param {any} result
 * @param {string} what
 */
export function settle(result, what) {
  if (typeof result?.then !== "function") {
    drainJobs();
    return result;
  }
  let state = "pending";
  /** @type {any} */
  let outcome;
  result.then(
    (/** @type {any} */ value) => ([state, outcome] = ["fulfilled", value]),
    (/** @type {any} */ reason) => ([state, outcome] = ["rejected", reason]),
  );
  drainJobs();
  if (state === "fulfilled") return outcome;
  if (state === "rejected") throw outcome;
  throw new Failure("internal", `the promise of ${what} never settles: nothing is left to run, and there are no timers`, { code: "never_settled" });
}
