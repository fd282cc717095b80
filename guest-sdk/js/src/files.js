/** The files of the session that the call belongs to; others see them too. A read-only tool changes none. */
import store from "everwit:files/store@1.0.0";
import { Failure } from "./failure.js";
import { requireCall } from "./phase.js";
import { errorValue, toBytes, toText, toUnsigned } from "./seam.js";
import { decodeUtf8, encodeUtf8 } from "./utf8.js";

const MAX_PAGE = 1000;
/** The expected revision of a file that must be absent. */
export const ABSENT = "";

/**
 * A file, or a piece of it.
 * @param {string} path
 * @param {{ offset?: number, length?: number | null }} [options]
 */
export function read(path, { offset = 0, length = null } = {}) {
  const { bytes, size, revision } = act(path, (path) => store.read(path, toUnsigned(offset) ?? 0, toUnsigned(length)));
  return { value: Uint8Array.from(bytes), size, revision };
}

/**
 * A file as text.
 * @param {string} path
 */
export const readText = (path) => decodeUtf8(read(path).value);

/**
 * What is known about a path, or null.
 * @param {string} path
 */
export const stat = (path) => act(path, (path) => store.stat(path)) ?? null;

/**
 * What is in a directory or anywhere below it, page by page.
 * @param {string} [directory]
 * @param {{ recursive?: boolean }} [options]
 */
export function* entries(directory = "/", { recursive = false } = {}) {
  /** @type {string | null} */
  let after = null;
  for (;;) {
    /** @type {{ entries: import("../types/index.js").FileEntry[], more: boolean }} */
    const page = act(directory, (path) => store.entries(path, recursive, after, MAX_PAGE));
    yield* page.entries;
    if (!page.more) return;
    after = page.entries[page.entries.length - 1].path;
  }
}

/**
 * Writes a whole file and returns its revision.
 * @param {string} path
 * @param {string | ArrayBuffer | ArrayBufferView} content
 * @param {{ expected?: string | null }} [options]
 */
export function write(path, content, { expected = null } = {}) {
  const bytes = toBytes(content, `the content of "${path}"`, encodeUtf8);
  return act(path, (path) => store.write(path, bytes, expected === null ? null : toText(expected)));
}

/**
 * Removes a file or an empty directory, and says whether there was one.
 * @param {string} path
 */
export const remove = (path) => act(path, (path) => store.remove(path));

/**
 * @template T
 * @param {string} path
 * @param {(path: string) => T} action
 * @returns {T}
 */
function act(path, action) {
  requireCall("files");
  try {
    return action(toText(path));
  } catch (thrown) {
    throw toFailure(thrown, path);
  }
}

/**
 * @param {unknown} thrown
 * @param {string} path
 */
function toFailure(thrown, path) {
  const fault = errorValue(thrown);
  switch (fault?.tag) {
    case "denied":
      return new Failure("denied", fault.val, { code: "files_denied" });
    case "invalid-path":
      return new Failure("invalid-arguments", fault.val, { code: "invalid_path" });
    case "not-found":
      return new Failure("not-found", `there is no file "${path}"`, { code: "file_not_found" });
    case "unfit":
      return new Failure("conflict", fault.val, { code: "file_unfit" });
    case "conflict":
      return new Failure("conflict", `the file "${path}" is not as expected: read it again`, { code: "file_conflict", retryable: true });
    case "too-large":
      return new Failure("internal", fault.val, { code: "file_too_large" });
    case "quota":
      return new Failure("internal", fault.val, { code: "files_quota" });
    case "other":
      return new Failure("internal", fault.val, { code: "files_other" });
    default:
      return thrown;
  }
}
