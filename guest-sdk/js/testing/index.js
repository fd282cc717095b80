/**
 * A stand-in for the host, to test capabilities in Node: `node --import @everwit/guest/testing
 * --test`. Load it with `--import`, so that it is there before the capability's imports.
 */
import { register } from "node:module";
import { host } from "./host.js";

register("./hooks.js", import.meta.url);

export { host };

/**
 * @param {any} exports
 * @param {string} tool
 * @param {object} [args]
 * @param {Partial<import("../types/index.js").Context>} [context]
 * @returns {Promise<import("../types/testing.js").Outcome>}
 */
export async function invoke({ tools }, tool, args = {}, context = {}) {
  // Imported late: these modules import the host's interfaces, which need the hooks.
  const { startTool } = await import("../src/capability.js");
  const { toFailureRecord } = await import("../src/failure.js");
  const { toOutputRecord } = await import("../src/output.js");
  const { enterCall } = await import("../src/phase.js");
  enterCall();
  try {
    const value = await startTool(tools, contextRecord(context), tool, JSON.stringify(args));
    const { parts, structured } = toOutputRecord(value, tool, true);
    const text = parts.map((part) => (part.tag === "text" || part.tag === "data" ? part.val : "")).join("");
    return { ok: true, text, parts, structured: structured === null ? null : JSON.parse(structured) };
  } catch (thrown) {
    return { ok: false, failure: toFailureRecord(thrown) };
  }
}

/** @param {Partial<import("../types/index.js").Context>} context */
export function contextRecord({ org, session, turn, idempotencyKey, config, locale, extra }) {
  return {
    org: org ?? "org",
    session: session ?? "session",
    turn: turn ?? "turn",
    idempotencyKey: idempotencyKey ?? "call",
    config: JSON.stringify(config ?? {}),
    locale: locale ?? null,
    extra: Object.entries(extra ?? {}),
  };
}
