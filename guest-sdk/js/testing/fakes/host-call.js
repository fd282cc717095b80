import { fail, host } from "../host.js";

function stopOrGoOn() {
  if (host.stop) fail(host.stop);
}

export default {
  remainingMs: () => host.remainingMs,
  stopped: () => host.stop,
  /**
   * @param {number} done
   * @param {number | null} total
   * @param {string | null} note
   */
  progress(done, total, note) {
    host.progress.push({ done, total, note });
    stopOrGoOn();
  },
  /** @param {import("../../types/wit.js").PartRecord[]} parts */
  emit(parts) {
    host.emitted.push(...parts);
    stopOrGoOn();
  },
};
