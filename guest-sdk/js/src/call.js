/** The call now running. */
import call from "everwit:host/call@1.0.0";
import { toPart } from "./output.js";
import { requireCall } from "./phase.js";
import { errorValue, toLimitedText, toUnsigned } from "./seam.js";

const MAX_NOTE_BYTES = 1024;

/** Milliseconds of wall-clock time left for this call. */
export function remainingMs() {
  requireCall("call.remainingMs");
  return call.remainingMs();
}

/** Why to stop ("cancelled" or "deadline"), or null to go on. */
export function stopped() {
  requireCall("call.stopped");
  return call.stopped();
}

/**
 * Reports progress and returns why to stop, or null to go on.
 * @param {number} done
 * @param {number | null} [total]
 * @param {string | null} [note]
 */
export function progress(done, total = null, note = null) {
  requireCall("call.progress");
  return stopOf(() => call.progress(toUnsigned(done) ?? 0, toUnsigned(total), note === null ? null : toLimitedText(note, MAX_NOTE_BYTES)));
}

/**
 * Emits partial output and returns why to stop, or null to go on.
 * @param {...unknown} parts
 */
export function emit(...parts) {
  requireCall("call.emit");
  const records = parts.map(toPart);
  return stopOf(() => call.emit(records));
}

/**
 * @param {() => void} report
 * @returns {import("../types/wit.js").Stop | null}
 */
function stopOf(report) {
  try {
    report();
    return null;
  } catch (thrown) {
    const stop = errorValue(thrown);
    if (stop === "cancelled" || stop === "deadline") return stop;
    throw thrown;
  }
}
