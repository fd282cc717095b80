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

/**
 * Runs one completion of a driver as the host would: `frames` are what its framing gives, objects
 * for server-sent events and bytes for everything else.
 * @param {any} exports
 * @param {{ apiKey?: string, baseUrl?: string, refreshToken?: string, accountId?: string, extra?: unknown }} config
 * @param {any} request
 * @param {{ status: number, headers?: Record<string, string> }} head
 * @param {any[]} frames
 * @returns {any}
 */
export function complete({ codec }, config, request, head, frames) {
  /** @type {any} */
  const outcome = { events: [] };
  try {
    const { method, url, headers, body } = codec.begin(configRecord(config), requestRecord(request));
    const text = new TextDecoder().decode(body);
    const fields = Object.fromEntries(headers);
    Object.assign(outcome, { method, url, headers: fields, body: fields["content-type"] === "application/json" ? JSON.parse(text) : text });
    outcome.framing = codec.onHead({ status: head.status, headers: Object.entries(head.headers ?? {}) });
    for (const frame of frames) {
      const isBytes = frame instanceof Uint8Array;
      outcome.events.push(...(isBytes ? codec.onBytes(frame) : codec.onSse({ event: "message", id: "", ...frame })));
    }
    outcome.events.push(...codec.onEnd());
  } catch (thrown) {
    outcome.failure = thrown;
  }
  return outcome;
}

/** @param {any} config */
function configRecord({ apiKey, baseUrl, refreshToken, accountId, extra }) {
  const metadata = { refreshToken: refreshToken ?? null, accountId: accountId ?? null, extra: extra === undefined ? null : JSON.stringify(extra) };
  return { apiKey: apiKey ?? null, baseUrl: baseUrl ?? null, metadata, extra: [] };
}

/**
 * A request with everything that is left out.
 * @param {any} request
 */
export function requestRecord({ options, ...given }) {
  const known = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
  return {
    instructions: null, messages: [], tools: [], toolChoice: "auto", temperature: null, maxOutputTokens: null, stop: [], effort: null,
    responseFormat: null, promptCacheKey: null, metadata: [], extra: [],
    ...known,
    options: typeof options === "string" ? options : JSON.stringify(options ?? {}),
  };
}
