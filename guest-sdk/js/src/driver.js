/**
 * Turns the definition of a model driver into the exports of the `everwit:driver` world. The
 * driver translates; the host sends, frames, retries and cancels, and a driver reaches nothing.
 */
import { defineExports, settle } from "./capability.js";
import { toDriverDescription, toModelRecord } from "./driver-definition.js";
import { toEventRecord, toRequest } from "./driver-records.js";
import { Failure, toFailureRecord } from "./failure.js";
import { enterCall } from "./phase.js";
import { kindOf, toBytes, toText, toUnsigned } from "./seam.js";
import { decodeUtf8, encodeUtf8 } from "./utf8.js";

const FRAMINGS = ["sse", "json-lines", "whole", "bytes"];

/**
 * Makes the exports of a driver component from its definition.
 * @param {any} definition
 * @returns {any}
 */
export function driver(definition) {
  const description = toDriverDescription(definition);
  /** @type {Record<string, object>} */
  const exports = { meta: { describe: () => description }, codec: codec(definition) };
  if (definition.discovery) exports.discovery = twoSteps(definition.discovery, "discovery", (models) => array(models, "models").map(toModelRecord));
  if (definition.tokenExchange) exports.tokenExchange = twoSteps(definition.tokenExchange, "tokenExchange", toAccessRecord);
  return defineExports(exports);
}

/**
 * The codec of one instance, which serves one completion.
 * @param {any} definition
 */
function codec(definition) {
  /** @type {any} */
  let completion;
  return {
    begin: guarded((/** @type {any} */ config, /** @type {any} */ request) => {
      completion = settle(definition.complete(toConfig(config), toRequest(request)), "complete");
      return toHttpRecord(completion?.request, "the request of complete()");
    }),
    onHead: guarded((/** @type {any} */ head) => {
      const framing = settle(completion.onHead({ status: head.status, headers: toHeaders(head.headers) }), "onHead");
      if (!FRAMINGS.includes(framing)) throw new TypeError(`onHead returned ${String(framing)}; a framing is one of ${FRAMINGS.join(", ")}`);
      return framing;
    }),
    onSse: guarded((/** @type {any} */ frame) => events(completion, "onSse", frame)),
    onBytes: guarded((/** @type {any} */ frame) => events(completion, "onBytes", frame instanceof Uint8Array ? frame : Uint8Array.from(frame))),
    onEnd: guarded(() => events(completion, "onEnd")),
  };
}

/**
 * @param {any} completion
 * @param {string} step
 * @param {any[]} frame
 */
function events(completion, step, ...frame) {
  if (typeof completion[step] !== "function") throw new Failure("internal", `complete() returned no ${step}, which its framing needs`);
  return array(settle(completion[step](...frame), step) ?? [], `the events of ${step}`).map(toEventRecord);
}

/**
 * An optional export of a request and the reading of its answer.
 * @param {any} steps
 * @param {string} name
 * @param {(value: any) => unknown} toRecord
 */
function twoSteps(steps, name, toRecord) {
  return {
    begin: guarded((/** @type {any} */ config) => toHttpRecord(settle(steps.begin(toConfig(config)), `${name}.begin`), `${name}.begin`)),
    decode: guarded((/** @type {number} */ status, /** @type {any} */ body) => {
      const bytes = body instanceof Uint8Array ? body : Uint8Array.from(body);
      return toRecord(settle(steps.decode(status, bytes), `${name}.decode`));
    }),
  };
}

/**
 * What is thrown becomes a failure, never a trap.
 * @template {any[]} A
 * @template R
 * @param {(...args: A) => R} step
 * @returns {(...args: A) => R}
 */
function guarded(step) {
  return (...args) => {
    enterCall();
    try {
      return step(...args);
    } catch (thrown) {
      throw toFailureRecord(thrown);
    }
  };
}

/** @param {any} record */
function toConfig(record) {
  const base = record.baseUrl?.replace(/\/+$/, "") ?? null;
  return {
    apiKey: record.apiKey ?? null,
    baseUrl: base,
    refreshToken: record.metadata?.refreshToken ?? null,
    accountId: record.metadata?.accountId ?? null,
    extra: record.metadata?.extra == null ? null : JSON.parse(record.metadata.extra),
    /** @param {string} path */
    url: (path) => {
      if (base === null) throw new Failure("invalid-arguments", "there is no base URL", { code: "configuration" });
      return base + path;
    },
    bearer: () => {
      if (!record.apiKey) throw new Failure("invalid-arguments", "there is no API key", { code: "configuration" });
      return `Bearer ${record.apiKey}`;
    },
  };
}

/** @param {[string, string][]} fields */
function toHeaders(fields) {
  /** @type {Record<string, string>} */
  const headers = {};
  for (const [name, value] of fields) headers[name] ??= value;
  return headers;
}

/**
 * @param {any} request
 * @param {string} what
 */
function toHttpRecord(request, what) {
  if (typeof request !== "object" || request === null) throw new TypeError(`${what} must be an object, not ${kindOf(request)}`);
  const headers = Object.entries(request.headers ?? {}).map(([name, value]) => [toText(name), toText(value)]);
  const isJson = request.json !== undefined;
  if (isJson && !headers.some(([name]) => name.toLowerCase() === "content-type")) headers.push(["content-type", "application/json"]);
  const body = isJson ? encodeUtf8(JSON.stringify(request.json)) : toBytes(request.body ?? "", `the body of ${what}`, encodeUtf8);
  const method = toText(request.method ?? (body.length > 0 ? "POST" : "GET")).toUpperCase();
  return { method, url: toText(request.url), headers, body, timeoutMs: null, extra: [] };
}

/** @param {any} access */
function toAccessRecord(access) {
  if (typeof access?.token !== "string") throw new TypeError("tokenExchange.decode must return an object with a token");
  return {
    token: toText(access.token),
    expiresInMs: toUnsigned(access.expiresInMs),
    refreshToken: access.refreshToken == null ? null : toText(access.refreshToken),
  };
}

/**
 * @param {unknown} value
 * @param {string} what
 * @returns {any[]}
 */
function array(value, what) {
  if (!Array.isArray(value)) throw new TypeError(`${what} must be an array, not ${kindOf(value)}`);
  return value;
}

/**
 * The JSON value of bytes or text of an answer.
 * @param {Uint8Array | string} data
 */
export function parseJson(data) {
  try {
    return JSON.parse(typeof data === "string" ? data : decodeUtf8(data));
  } catch (error) {
    throw new Failure("upstream", `the answer cannot be read: ${/** @type {Error} */ (error).message}`, { code: "invalid_response" });
  }
}

/** The failure of a completion whose body ended before its answer did. */
export const incomplete = () => new Failure("upstream", "the answer ended before it was complete", { code: "invalid_response" });

/**
 * The failure that an HTTP status other than 2xx means, with the vendor's words.
 * @param {number} status
 * @param {string} message
 */
export function refusal(status, message) {
  /** @type {Record<number, [string, string]>} */
  const known = {
    401: ["denied", "authentication"], 403: ["denied", "authentication"], 404: ["not-found", "model_not_available"],
    408: ["timeout", "timeout"], 413: ["invalid-arguments", "context_too_long"], 429: ["rate-limited", "rate_limited"],
    504: ["timeout", "timeout"],
  };
  const [kind, code] = known[status] ?? (status < 500 ? ["invalid-arguments", "invalid_request"] : ["upstream", "unavailable"]);
  return new Failure(kind, `status ${status}: ${message}`, { code, retryable: status === 429 || status >= 500 });
}
