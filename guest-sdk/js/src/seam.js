/**
 * Makes values safe to hand to the host. A value of the wrong type, or a string with a lone
 * surrogate, does not throw at the component boundary: it traps and takes the call with it.
 */
import { byteLength } from "./utf8.js";

/** Largest JSON value that crosses the boundary, in bytes (`everwit:types/common.json`). */
export const MAX_JSON_BYTES = 1024 * 1024;

/**
 * A well-formed string of any value.
 * @param {unknown} value
 * @returns {string}
 */
export function toText(value) {
  return (typeof value === "string" ? value : describeValue(value)).toWellFormed();
}

/**
 * `toText`, cut to at most `maxBytes` bytes of UTF-8 with an ellipsis.
 * @param {unknown} value
 * @param {number} maxBytes
 */
export function toLimitedText(value, maxBytes) {
  const text = toText(value);
  if (byteLength(text) <= maxBytes) return text;
  let bytes = 0;
  let end = 0;
  for (const character of text) {
    const size = byteLength(character);
    if (bytes + size > maxBytes - "…".length * 3) break;
    bytes += size;
    end += character.length;
  }
  return `${text.slice(0, end)}…`;
}

/**
 * JSON text of a value. Throws a `TypeError` that names `what` if the value has none or its
 * text is over the limit of the boundary.
 * @param {unknown} value
 * @param {string} what
 */
export function toJson(value, what) {
  let text;
  try {
    text = JSON.stringify(value === undefined ? null : value);
  } catch (error) {
    throw new TypeError(`${what} is not JSON: ${describeValue(error)}`);
  }
  if (text === undefined) throw new TypeError(`${what} is not JSON: it is a ${typeof value}`);
  const size = byteLength(text);
  if (size > MAX_JSON_BYTES) {
    throw new TypeError(`${what} has ${size} bytes of JSON, over the limit of ${MAX_JSON_BYTES}: return less`);
  }
  return text;
}

/**
 * The `bag` form of an object: pairs of strings.
 * @param {Record<string, unknown> | undefined | null} object
 * @returns {[string, string][]}
 */
export function toBag(object) {
  return Object.entries(object ?? {}).map(([key, value]) => [toText(key), toText(value)]);
}

/**
 * A non-negative integer that JavaScript represents exactly, or null.
 * @param {unknown} value
 */
export function toUnsigned(value) {
  const number = Math.round(Number(value));
  return value != null && number >= 0 && number <= Number.MAX_SAFE_INTEGER ? number : null;
}

/**
 * Bytes of a string (as UTF-8), a buffer or a view; throws a `TypeError` that names `what`.
 * @param {unknown} value
 * @param {string} what
 * @param {(text: string) => Uint8Array} encode
 * @returns {Uint8Array}
 */
export function toBytes(value, what, encode) {
  if (typeof value === "string") return encode(value);
  if (value instanceof Uint8Array) return value;
  if (value instanceof ArrayBuffer) return new Uint8Array(value);
  if (ArrayBuffer.isView(value)) return new Uint8Array(value.buffer, value.byteOffset, value.byteLength);
  throw new TypeError(`${what} must be a string, a Uint8Array, an ArrayBuffer or a view, not ${kindOf(value)}`);
}

/**
 * The error value of a host function, out of the `Error` that the bindings wrap it in.
 * @param {any} thrown
 * @returns {any}
 */
export function errorValue(thrown) {
  return thrown instanceof Error && Object.hasOwn(thrown, "payload") ? /** @type {any} */ (thrown).payload : thrown;
}

/**
 * The type of a value in a word, for messages.
 * @param {unknown} value
 */
export function kindOf(value) {
  if (value === null) return "null";
  return Array.isArray(value) ? "an array" : `a value of type ${typeof value}`;
}

/**
 * What a person would want to read of a value.
 * @param {unknown} value
 * @returns {string}
 */
export function describeValue(value) {
  if (typeof value === "string") return value;
  if (errorValue(value) !== value) return describeValue(errorValue(value));
  if (value instanceof Error) return value.name === "Error" ? value.message : `${value.name}: ${value.message}`;
  try {
    if (typeof value === "object") return JSON.stringify(value) ?? String(value);
    return String(value);
  } catch {
    return Object.prototype.toString.call(value);
  }
}
