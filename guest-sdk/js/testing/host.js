/** The state of the stand-in. */

/** @returns {Omit<import("../types/testing.js").FakeHost, "reset">} */
const initial = () => ({
  logs: [],
  progress: [],
  emitted: [],
  stop: null,
  remainingMs: 30_000,
  nowMs: Date.UTC(2025, 0, 1),
  seed: 1,
  kv: {},
  fileAccess: "none",
  files: {},
  secrets: {},
  http: ({ method, url }) => {
    throw { kind: "denied", message: `host.http is not set, so ${method} ${url} has no answer`, requestSent: false, retryAfterMs: null };
  },
  requests: [],
});

/**
 * Throws the error value of a host function, wrapped as the engine's bindings wrap it.
 * @param {unknown} value
 * @returns {never}
 */
export function fail(value) {
  throw Object.assign(new Error(String(value)), { payload: value });
}

/** @type {import("../types/testing.js").FakeHost} */
export const host = {
  ...initial(),
  reset() {
    Object.assign(host, initial());
  },
};
