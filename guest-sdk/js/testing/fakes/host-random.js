import { host } from "../host.js";

/** One step of a linear congruential generator: repeatable, which is what tests want. */
function next() {
  host.seed = (Math.imul(host.seed, 1664525) + 1013904223) >>> 0;
  return host.seed;
}

export default {
  /** @param {number} count */
  bytes: (count) => Uint8Array.from({ length: count }, () => next() >>> 24),
  number: () => next() * 2 ** 21,
};
