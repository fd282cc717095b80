/** Time, in whole milliseconds. */
import clock from "everwit:host/clock@1.0.0";
import { requireCall } from "./phase.js";

/** Milliseconds since the Unix epoch, UTC. */
export function nowMs() {
  requireCall("clock.nowMs");
  return clock.nowMs();
}

/** Milliseconds since an arbitrary point; never goes back. */
export function monotonicMs() {
  requireCall("clock.monotonicMs");
  return clock.monotonicMs();
}
