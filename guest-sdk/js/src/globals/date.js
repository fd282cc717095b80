/**
 * `Date` on the host's clock. Without WASI the engine's own clock is not there; with it, this
 * keeps one source of time, so that a call can be recorded and replayed.
 */
import { monotonicMs, nowMs } from "../clock.js";
import { isRunning } from "../phase.js";

const EngineDate = Date;

/** The time of the build, for code that looks at the clock at its top level. */
const now = () => (isRunning() ? nowMs() : EngineDate.now());

/**
 * @this {unknown}
 * @param {...any} parts
 */
function HostDate(...parts) {
  if (!new.target) return new EngineDate(now()).toString();
  return Reflect.construct(EngineDate, parts.length > 0 ? parts : [now()], new.target);
}

HostDate.prototype = EngineDate.prototype;
Object.defineProperties(HostDate, {
  name: { value: "Date", configurable: true },
  length: { value: 7, configurable: true },
  prototype: { writable: false },
  now: { value: now, writable: true, configurable: true },
  parse: { value: EngineDate.parse, writable: true, configurable: true },
  UTC: { value: EngineDate.UTC, writable: true, configurable: true },
});
Object.defineProperty(EngineDate.prototype, "constructor", { value: HostDate, writable: true, configurable: true });
Object.defineProperty(globalThis, "Date", { value: HostDate, writable: true, configurable: true });

const origin = now();
Object.defineProperty(globalThis, "performance", {
  value: { timeOrigin: origin, now: () => (isRunning() ? monotonicMs() : 0) },
  writable: true,
  configurable: true,
});
