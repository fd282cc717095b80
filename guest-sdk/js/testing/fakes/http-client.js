import { fail, host } from "../host.js";

/** A response whose body is in memory already. */
export class Response {
  /** @param {import("../../types/testing.js").FakeResponse} answer */
  constructor({ status = 200, headers = {}, body = "" }) {
    this.status = status;
    /** @type {[string, string][]} */
    this.headers = Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]);
    this.rest = body instanceof Uint8Array ? body : Buffer.from(typeof body === "string" ? body : JSON.stringify(body));
  }

  /** The host reads `retry-after` as a date as well. */
  head() {
    const seconds = Number(this.headers.find(([name]) => name === "retry-after")?.[1] ?? NaN);
    return { status: this.status, headers: this.headers, retryAfterMs: seconds >= 0 ? seconds * 1000 : null };
  }

  /** @param {number} max */
  read(max) {
    if (this.rest.length === 0) return null;
    const piece = Uint8Array.from(this.rest.subarray(0, max));
    this.rest = this.rest.subarray(max);
    return piece;
  }

  /** Frames end with an empty line; enough of the format for tests. */
  readSse() {
    const text = Buffer.from(this.rest).toString();
    const end = text.indexOf("\n\n");
    const frame = end < 0 ? text : text.slice(0, end);
    this.rest = Buffer.from(end < 0 ? "" : text.slice(end + 2));
    if (frame.trim() === "") return null;
    const field = (/** @type {string} */ name) =>
      frame.split("\n").filter((line) => line.startsWith(`${name}:`)).map((line) => line.slice(name.length + 1).replace(/^ /, "")).join("\n");
    return { event: field("event") || "message", data: field("data"), id: field("id") };
  }
}

export default {
  /** @param {import("../../types/wit.js").RequestRecord} request */
  send(request) {
    host.requests.push(request);
    let answer;
    try {
      answer = host.http(request);
    } catch (thrown) {
      // A fault is a plain object; an error is a bug of the test.
      if (thrown instanceof Error) throw thrown;
      fail(thrown);
    }
    return new Response(answer);
  },
};
