/**
 * `Math.random` from the host. The engine's own is seeded at build time and would give every
 * call of every user the same numbers.
 */
import { isRunning } from "../phase.js";
import { float } from "../random.js";

const frozen = Math.random;

/** At build time, libraries that pick an id at their top level get the engine's numbers. */
Math.random = () => (isRunning() ? float() : frozen());
