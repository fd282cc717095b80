/** The component's log. */
import log from "everwit:host/log@1.0.0";
import { requireCall } from "./phase.js";
import { toBag, toText } from "./seam.js";

/** @param {import("../types/wit.js").Level} level */
const writer = (level) => (/** @type {unknown} */ message, /** @type {Record<string, unknown>} */ fields = {}) => {
  requireCall(`log.${level}`);
  log.write(level, toText(message), toBag(fields));
};

export const trace = writer("trace");
export const debug = writer("debug");
export const info = writer("info");
export const warn = writer("warn");
export const error = writer("error");
