/** Outbound HTTP through the host's gateway. Calls wait; there is nothing to await. */
import client from "everwit:http/client@1.0.0";
import { Failure } from "./failure.js";
import { requireCall } from "./phase.js";
import { describeValue, errorValue, toBytes, toJson, toText, toUnsigned } from "./seam.js";
import { decodeUtf8, encodeUtf8 } from "./utf8.js";

/** Largest body that is read at once unless the caller asks for more, in bytes. */
export const DEFAULT_MAX_BYTES = 2 * 1024 * 1024;
/** Bytes asked for per read: few host calls, and a small part of the guest's memory. */
const PIECE_BYTES = 64 * 1024;

/** Faults that name a passing state of the network. */
const TRANSIENT = ["dns", "connect", "timeout"];
/** Methods whose repetition does no harm, whether or not the first try arrived. */
const SAFE_METHODS = ["GET", "HEAD", "OPTIONS"];

/**
 * Sends a request and waits for the head of its response.
 * @param {string | { toString(): string }} url
 * @param {import("../types/index.js").FetchOptions} [options]
 */
export function fetch(url, options = {}) {
  requireCall("fetch");
  const request = toRequest(String(url), options);
  try {
    return new Response(client.send(request), request);
  } catch (thrown) {
    throw toFailure(thrown, request);
  }
}

/** @typedef {ReturnType<typeof toRequest>} RequestRecord */

/**
 * @param {string} url
 * @param {import("../types/index.js").FetchOptions} options
 */
function toRequest(url, { method, headers, query, body, json, timeoutMs }) {
  const fields = toFields(headers);
  const has = (/** @type {string} */ name) => fields.some(([field]) => field.toLowerCase() === name);
  if (json !== undefined && body !== undefined) throw new TypeError("fetch: give body or json, not both");
  if (json !== undefined && !has("content-type")) fields.push(["content-type", "application/json"]);
  const content = json === undefined ? body : toJson(json, "the JSON body of a request");
  return {
    method: toText(method ?? (content === undefined || content === null ? "GET" : "POST")).toUpperCase(),
    url: toText(withQuery(url, query)),
    headers: fields,
    body: content == null ? new Uint8Array(0) : toBytes(content, "the body of a request", encodeUtf8),
    timeoutMs: timeoutMs == null ? null : Math.min(toUnsigned(timeoutMs) ?? 0, 0xffffffff),
    extra: /** @type {[string, string][]} */ ([]),
  };
}

/**
 * @param {any} headers an object, or pairs
 * @returns {[string, string][]}
 */
function toFields(headers) {
  const pairs = Array.isArray(headers) ? headers : Object.entries(headers ?? {});
  return pairs.filter(([, value]) => value != null).map(([name, value]) => [toText(name), toText(value)]);
}

/**
 * @param {string} url
 * @param {Record<string, unknown> | undefined} query
 */
function withQuery(url, query) {
  const pairs = Object.entries(query ?? {}).flatMap(([name, value]) => (Array.isArray(value) ? value : [value]).map((one) => [name, one]));
  const text = pairs
    .filter(([, value]) => value != null)
    .map(([name, value]) => `${encodeURIComponent(toText(name))}=${encodeURIComponent(toText(value))}`)
    .join("&");
  if (text === "") return url;
  const [, base, fragment] = /^([^#]*)(.*)$/s.exec(url) ?? [];
  return `${base}${base.includes("?") ? "&" : "?"}${text}${fragment}`;
}

/** A response; its body can be read once. */
class Response {
  #resource;
  #request;

  /**
   * @param {import("../types/wit.js").ResponseResource} resource
   * @param {RequestRecord} request
   */
  constructor(resource, request) {
    const head = resource.head();
    this.#resource = resource;
    this.#request = request;
    this.url = request.url;
    this.status = head.status;
    this.ok = head.status >= 200 && head.status <= 299;
    this.headers = new Headers(head.headers);
    this.retryAfterMs = toUnsigned(head.retryAfterMs);
  }

  /** The body piece by piece. */
  *chunks() {
    for (let piece = this.#next(); piece !== null; piece = this.#next()) yield Uint8Array.from(piece);
  }

  /** The body as server-sent events. */
  *events() {
    for (;;) {
      const event = this.#guarded(() => this.#resource.readSse());
      if (event === null) return;
      yield event;
    }
  }

  /**
   * The whole body.
   * @param {{ maxBytes?: number }} [options]
   */
  bytes({ maxBytes = DEFAULT_MAX_BYTES } = {}) {
    const pieces = [];
    let size = 0;
    for (const piece of this.chunks()) {
      size += piece.length;
      if (size > maxBytes) {
        throw new Failure("upstream", `the response of ${this.url} has more than ${maxBytes} bytes: ask for less, or raise maxBytes`, { code: "response_too_large" });
      }
      pieces.push(piece);
    }
    if (pieces.length === 1) return pieces[0];
    const whole = new Uint8Array(size);
    let at = 0;
    for (const piece of pieces) {
      whole.set(piece, at);
      at += piece.length;
    }
    return whole;
  }

  /**
   * The whole body as text; UTF-8 without its byte order mark.
   * @param {{ maxBytes?: number }} [options]
   */
  text(options) {
    return decodeUtf8(this.bytes(options)).replace(/^\ufeff/, "");
  }

  /**
   * The whole body as JSON.
   * @param {{ maxBytes?: number }} [options]
   */
  json(options) {
    const text = this.text(options);
    try {
      return JSON.parse(text);
    } catch (error) {
      throw new Failure("upstream", `the response of ${this.url} is not JSON: ${describeValue(error)}`, { code: "response_not_json" });
    }
  }

  /** Returns this response if its status is 2xx, and throws the failure that fits otherwise. */
  ensureOk() {
    if (this.ok) return this;
    throw new Failure(kindOfStatus(this.status), `${this.#request.method} ${this.url} answered ${this.status}`, {
      code: `http_status_${this.status}`,
      retryable: this.status === 429 || this.status === 503 || (this.status >= 500 && SAFE_METHODS.includes(this.#request.method)),
      retryAfterMs: this.retryAfterMs,
    });
  }

  #next() {
    return this.#guarded(() => this.#resource.read(PIECE_BYTES));
  }

  /**
   * @template T
   * @param {() => T} action
   * @returns {T}
   */
  #guarded(action) {
    try {
      return action();
    } catch (thrown) {
      throw toFailure(thrown, this.#request);
    }
  }
}

/** Header fields; names in any case. */
class Headers {
  #fields;

  /** @param {[string, string][]} fields */
  constructor(fields) {
    this.#fields = fields;
  }

  /**
   * The value of a field, or null; several are joined by ", ".
   * @param {string} name
   */
  get(name) {
    const values = this.getAll(name);
    return values.length === 0 ? null : values.join(", ");
  }

  /**
   * All values of a field.
   * @param {string} name
   */
  getAll(name) {
    return this.#fields.filter(([field]) => field === name.toLowerCase()).map(([, value]) => value);
  }

  /** @param {string} name */
  has(name) {
    return this.getAll(name).length > 0;
  }

  [Symbol.iterator]() {
    return this.#fields[Symbol.iterator]();
  }
}

/** @param {number} status */
function kindOfStatus(status) {
  if (status === 404 || status === 410) return "not-found";
  if (status === 401 || status === 403) return "denied";
  if (status === 409 || status === 412) return "conflict";
  if (status === 429) return "rate-limited";
  return status === 408 || status === 504 ? "timeout" : "upstream";
}

/**
 * @param {unknown} thrown
 * @param {RequestRecord} request
 */
function toFailure(thrown, request) {
  const fault = errorValue(thrown);
  if (typeof fault?.kind !== "string" || fault instanceof Error) return thrown;
  const kinds = /** @type {Record<string, string>} */ ({ denied: "denied", timeout: "timeout", cancelled: "timeout", invalid: "internal", limit: "internal", internal: "internal" });
  const harmless = !fault.requestSent || SAFE_METHODS.includes(request.method);
  return new Failure(kinds[fault.kind] ?? "upstream", `${request.method} ${request.url}: ${fault.message}`, {
    code: `http_${fault.kind}`,
    retryable: TRANSIENT.includes(fault.kind) && harmless,
    retryAfterMs: fault.retryAfterMs,
  });
}
