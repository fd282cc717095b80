/** Randomness from the host's cryptographic source. */
import random from "everwit:host/random@1.0.0";
import { requireCall } from "./phase.js";

/** Most bytes that one host call gives. */
const MAX_BYTES = 65_536;
/** Bytes fetched ahead for single numbers: a host call costs more than the bytes. */
const POOL_BYTES = 256;
const DOUBLE_BYTES = 7;

let pool = new Uint8Array(0);
let poolAt = 0;

/**
 * `count` random bytes.
 * @param {number} count
 */
export function bytes(count) {
  requireCall("random.bytes");
  if (!Number.isInteger(count) || count < 0) throw new RangeError(`random.bytes: count must be a non-negative integer, not ${count}`);
  const result = new Uint8Array(count);
  for (let at = 0; at < count; at += MAX_BYTES) {
    result.set(random.bytes(Math.min(MAX_BYTES, count - at)), at);
  }
  return result;
}

/** A number in [0, 1) with 53 random bits. */
export function float() {
  if (poolAt + DOUBLE_BYTES > pool.length) {
    pool = bytes(POOL_BYTES);
    poolAt = 0;
  }
  // 53 bits: five from the first byte and 48 from the rest.
  let value = pool[poolAt] & 0x1f;
  for (let i = 1; i < DOUBLE_BYTES; i++) value = value * 256 + pool[poolAt + i];
  poolAt += DOUBLE_BYTES;
  return value / 2 ** 53;
}

/**
 * A whole number from `min` to `max`, both included.
 * @param {number} min
 * @param {number} max
 */
export function integer(min, max) {
  const span = max - min + 1;
  if (!Number.isSafeInteger(min) || !Number.isSafeInteger(max) || !Number.isSafeInteger(span) || span < 1) {
    throw new RangeError(`random.integer: ${min} to ${max} is not a range of safe integers`);
  }
  return min + Math.floor(float() * span);
}

/** A random UUID (version 4). */
export function uuid() {
  const value = bytes(16);
  value[6] = (value[6] & 0x0f) | 0x40;
  value[8] = (value[8] & 0x3f) | 0x80;
  const hex = Array.from(value, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join("-");
}
