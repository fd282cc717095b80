import { host } from "../host.js";

export default {
  /**
   * @param {string} level
   * @param {string} message
   * @param {[string, string][]} fields
   */
  write(level, message, fields) {
    host.logs.push({ level, message, fields: Object.fromEntries(fields) });
  },
  /** @param {string} message */
  panicked(message) {
    host.logs.push({ level: "error", message, fields: {} });
  },
};
