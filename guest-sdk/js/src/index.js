/**
 * Everwit capabilities and model drivers in JavaScript. Each module of host functions imports its interface, so
 * a component asks for what its code uses and for nothing else.
 */
export { capability, tool } from "./capability.js";
export { driver, incomplete, parseJson, refusal } from "./driver.js";
export { event } from "./driver-records.js";
export { Failure } from "./failure.js";
export { output, part } from "./output.js";
export { fetch } from "./http.js";
export * as log from "./log.js";
export * as call from "./call.js";
export * as clock from "./clock.js";
export * as random from "./random.js";
export * as kv from "./kv.js";
export * as files from "./files.js";
export * as secrets from "./secrets.js";
