/** Small durable values in buckets: the only way to remember something between calls. */
import store from "everwit:kv/store@1.0.0";
import { Failure } from "./failure.js";
import { requireCall } from "./phase.js";
import { errorValue, toBytes, toJson, toText, toUnsigned } from "./seam.js";
import { decodeUtf8, encodeUtf8 } from "./utf8.js";

const MAX_PAGE = 1000;
/** Tries of `update` before it gives up on a key that others keep changing. */
const UPDATE_TRIES = 8;

/**
 * A bucket by its name.
 * @param {string} name
 */
export const bucket = (name) => new Bucket(toText(name));

/** One bucket. */
class Bucket {
  /** @param {string} name */
  constructor(name) {
    this.name = name;
  }

  /**
   * The entry of a key, or null.
   * @param {string} key
   * @returns {{ value: Uint8Array, version: number } | null}
   */
  get(key) {
    const entry = this.#do(key, () => store.get(this.name, toText(key)));
    return entry && { value: Uint8Array.from(entry.value), version: entry.version };
  }

  /**
   * The value of a key as text, or null.
   * @param {string} key
   */
  getText(key) {
    const entry = this.get(key);
    return entry && decodeUtf8(entry.value);
  }

  /**
   * The value of a key as JSON, or null.
   * @param {string} key
   */
  getJson(key) {
    const entry = this.get(key);
    return entry && this.#parse(key, entry.value);
  }

  /**
   * Writes a key and returns its new version.
   * @param {string} key
   * @param {string | ArrayBuffer | ArrayBufferView} value
   * @param {{ expected?: number | null }} [options]
   */
  put(key, value, { expected = null } = {}) {
    const bytes = toBytes(value, `the value of "${key}"`, encodeUtf8);
    return this.#do(key, () => store.put(this.name, toText(key), bytes, toUnsigned(expected)));
  }

  /**
   * Writes a key as JSON and returns its new version.
   * @param {string} key
   * @param {unknown} value
   * @param {{ expected?: number | null }} [options]
   */
  putJson(key, value, options) {
    return this.put(key, toJson(value, `the value of "${key}"`), options);
  }

  /**
   * Replaces the JSON value of a key by what `change` makes of it, and tries again when
   * somebody else wrote in between. Returns the new value.
   * @param {string} key
   * @param {(value: any) => unknown} change gets null for an absent key
   */
  update(key, change) {
    for (let tries = 1; ; tries++) {
      const entry = this.get(key);
      const value = change(entry && this.#parse(key, entry.value));
      try {
        this.putJson(key, value, { expected: entry ? entry.version : 0 });
        return value;
      } catch (error) {
        const again = error instanceof Failure && error.code === "kv_conflict" && tries < UPDATE_TRIES;
        if (!again) throw error;
      }
    }
  }

  /**
   * Removes a key.
   * @param {string} key
   * @param {{ expected?: number | null }} [options]
   */
  remove(key, { expected = null } = {}) {
    this.#do(key, () => store.remove(this.name, toText(key), toUnsigned(expected)));
  }

  /**
   * One page of keys in byte order.
   * @param {{ prefix?: string, after?: string | null, limit?: number }} [options]
   * @returns {string[]}
   */
  keys({ prefix = "", after = null, limit = MAX_PAGE } = {}) {
    const count = Math.min(MAX_PAGE, Math.max(1, toUnsigned(limit) ?? MAX_PAGE));
    return this.#do(prefix, () => store.keys(this.name, toText(prefix), after === null ? null : toText(after), count));
  }

  /**
   * All keys with a prefix, page by page.
   * @param {string} [prefix]
   */
  *allKeys(prefix = "") {
    for (let after = null; ; ) {
      const page = this.keys({ prefix, after });
      yield* page;
      if (page.length < MAX_PAGE) return;
      after = page[page.length - 1];
    }
  }

  /**
   * @param {string} key
   * @param {Uint8Array} bytes
   */
  #parse(key, bytes) {
    try {
      return JSON.parse(decodeUtf8(bytes));
    } catch {
      throw new Failure("internal", `the value of "${key}" in bucket "${this.name}" is not JSON: read it with get or getText`, { code: "kv_not_json" });
    }
  }

  /**
   * @template T
   * @param {string} key
   * @param {() => T} action
   * @returns {T}
   */
  #do(key, action) {
    requireCall("kv");
    try {
      return action();
    } catch (thrown) {
      throw toFailure(thrown, key, this.name);
    }
  }
}

/**
 * @param {unknown} thrown
 * @param {string} key
 * @param {string} bucket
 */
function toFailure(thrown, key, bucket) {
  const fault = errorValue(thrown);
  switch (fault?.tag) {
    case "denied":
      return new Failure("denied", fault.val, { code: "kv_denied" });
    case "too-large":
      return new Failure("invalid-arguments", `key "${key}" or its value is too large for bucket "${bucket}": a key takes at most 512 bytes and a value 256 KiB`, { code: "kv_too_large" });
    case "quota":
      return new Failure("denied", `bucket "${bucket}" is full (1,024 keys or 16 MiB): remove keys that are no longer needed`, { code: "kv_quota" });
    case "conflict":
      return new Failure("conflict", `key "${key}" in bucket "${bucket}" has another version than expected: read it again`, { code: "kv_conflict", retryable: true });
    case "other":
      return new Failure("internal", fault.val, { code: "kv_other" });
    default:
      return thrown;
  }
}
