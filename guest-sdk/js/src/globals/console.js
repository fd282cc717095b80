/** `console`, written to the component's log. */
import * as log from "../log.js";
import { isRunning } from "../phase.js";
import { describeValue } from "../seam.js";

/** @param {keyof typeof log} level */
const method = (level) => (/** @type {unknown[]} */ ...values) => {
  // Libraries may log at their top level; there is no log at build time.
  if (isRunning()) log[level](values.map(show).join(" "));
};

/** @param {unknown} value */
const show = (value) => (value instanceof Error && value.stack ? `${describeValue(value)}\n${value.stack}` : describeValue(value));

const error = method("error");
const info = method("info");
const ignore = () => {};

Object.defineProperty(globalThis, "console", {
  value: {
    trace: method("trace"),
    debug: method("debug"),
    log: info,
    info,
    dir: info,
    table: info,
    group: info,
    groupEnd: ignore,
    time: ignore,
    timeEnd: ignore,
    warn: method("warn"),
    error,
    /**
     * @param {unknown} condition
     * @param {...unknown} values
     */
    assert: (condition, ...values) => {
      if (!condition) error("assertion failed:", ...values);
    },
  },
  writable: true,
  configurable: true,
});
