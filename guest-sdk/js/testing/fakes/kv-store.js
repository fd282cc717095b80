import { fail, host } from "../host.js";

const MAX_KEY_BYTES = 512;
const MAX_VALUE_BYTES = 256 * 1024;

/** @param {string} name */
function bucketOf(name) {
  const bucket = host.kv[name];
  if (!bucket) return fail({ tag: "denied", val: `grant the kv bucket "${name}"` });
  return bucket;
}

/**
 * @param {string} name
 * @param {string} key
 * @param {number | null} expected
 */
function checked(name, key, expected) {
  const bucket = bucketOf(name);
  const version = bucket.get(key)?.version ?? 0;
  if (expected !== null && expected !== version) fail({ tag: "conflict" });
  return { bucket, version };
}

export default {
  /**
   * @param {string} name
   * @param {string} key
   */
  get: (name, key) => bucketOf(name).get(key) ?? null,
  /**
   * @param {string} name
   * @param {string} key
   * @param {Uint8Array} value
   * @param {number | null} expected
   */
  put(name, key, value, expected) {
    const { bucket, version } = checked(name, key, expected);
    if (Buffer.byteLength(key) > MAX_KEY_BYTES || value.length > MAX_VALUE_BYTES) fail({ tag: "too-large" });
    bucket.set(key, { value: Uint8Array.from(value), version: version + 1 });
    return version + 1;
  },
  /**
   * @param {string} name
   * @param {string} key
   * @param {number | null} expected
   */
  remove(name, key, expected) {
    checked(name, key, expected).bucket.delete(key);
  },
  /**
   * @param {string} name
   * @param {string} prefix
   * @param {string | null} after
   * @param {number} limit
   */
  keys: (name, prefix, after, limit) =>
    [...bucketOf(name).keys()]
      .filter((key) => key.startsWith(prefix) && (after === null || Buffer.compare(Buffer.from(key), Buffer.from(after)) > 0))
      .sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)))
      .slice(0, limit),
};
