/**
 * Expected failures and how anything thrown becomes one.
 */
import log from "everwit:host/log@1.0.0";
import { describeValue, toBag, toLimitedText, toUnsigned } from "./seam.js";

const MAX_MESSAGE_BYTES = 4096;
const MAX_CODE_BYTES = 64;
const MAX_STACK_BYTES = 2048;

/**
 * An expected failure of a tool call: it reaches the model as a value, not as a crash.
 */
export class Failure extends Error {
  /**
   * @param {string} kind
   * @param {string} message
   * @param {import("../types/index.js").FailureOptions} [options]
   */
  constructor(kind, message, options = {}) {
    super(message, "cause" in options ? { cause: options.cause } : undefined);
    this.name = "Failure";
    this.kind = kind;
    this.code = options.code ?? kind.replaceAll("-", "_");
    this.retryable = options.retryable ?? false;
    this.retryAfterMs = options.retryAfterMs ?? null;
    this.extra = options.extra ?? {};
  }
}

/**
 * The failure record of the contract for anything that was thrown. What is not a `Failure` is
 * a bug: its stack goes to the log, for the author, and its message to the caller.
 * @param {unknown} thrown
 */
export function toFailureRecord(thrown) {
  const failure = thrown instanceof Failure ? thrown : unexpected(thrown);
  return {
    kind: toLimitedText(failure.kind, MAX_CODE_BYTES),
    code: toLimitedText(failure.code, MAX_CODE_BYTES),
    message: toLimitedText(failure.message, MAX_MESSAGE_BYTES),
    retryable: Boolean(failure.retryable),
    retryAfterMs: toUnsigned(failure.retryAfterMs),
    extra: toBag(failure.extra),
  };
}

/** @param {unknown} thrown */
function unexpected(thrown) {
  return new Failure("internal", reportUnexpected(thrown), { code: "exception" });
}

/**
 * Logs what was thrown, with its stack, and returns its message.
 * @param {unknown} thrown
 */
export function reportUnexpected(thrown) {
  const message = toLimitedText(describeValue(thrown) || "an empty value was thrown", MAX_MESSAGE_BYTES);
  const stack = thrown instanceof Error ? thrown.stack : undefined;
  log.write("error", message, stack ? [["stack", toLimitedText(stack, MAX_STACK_BYTES)]] : []);
  return message;
}
