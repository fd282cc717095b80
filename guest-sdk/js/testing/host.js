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
  secrets: {},
  http: ({ method, url }) => {
    throw { kind: "denied", message: `host.http is not set, so ${method} ${url} has no answer`, requestSent: false, retryAfterMs: null };
  },
  requests: [],
});

/** @type {import("../types/testing.js").FakeHost} */
export const host = {
  ...initial(),
  reset() {
    Object.assign(host, initial());
  },
};
