import { createHash } from "node:crypto";
import { fail, host } from "../host.js";

const MAX_FILE_BYTES = 16 * 1024 * 1024;

/** @param {Uint8Array} content */
const revisionOf = (content) => createHash("sha256").update(content).digest("hex");

/**
 * The path from the root, if access to it is granted.
 * @param {string} path
 * @param {"read" | "write"} needs
 */
function checked(path, needs) {
  if (host.fileAccess !== "write" && host.fileAccess !== needs) fail({ tag: "denied", val: `grant the session's files: "${needs}"` });
  const names = path.split("/").filter((name) => name !== "" && name !== ".");
  if (names.includes("..") || /[\\\0]/.test(path)) fail({ tag: "invalid-path", val: `"${path}" is no path of a session file` });
  return `/${names.slice(names[0] === "workspace" ? 1 : 0).join("/")}`;
}

/** Files and the directories above them, by path. */
function all() {
  /** @type {Map<string, import("../../types/index.js").FileEntry>} */
  const found = new Map([["/", { path: "/", directory: true, readOnly: false, size: 0, revision: null, modifiedMs: null }]]);
  for (const [path, content] of Object.entries(host.files)) {
    for (let at = path.lastIndexOf("/"); at > 0; at = path.lastIndexOf("/", at - 1)) {
      const above = path.slice(0, at);
      found.set(above, { path: above, directory: true, readOnly: false, size: 0, revision: null, modifiedMs: null });
    }
    found.set(path, { path, directory: false, readOnly: false, size: content.length, revision: revisionOf(content), modifiedMs: null });
  }
  return found;
}

/** @param {string} path */
function refuseDirectory(path) {
  if (all().get(path)?.directory) fail({ tag: "unfit", val: `${path} is a directory` });
}

export default {
  /**
   * @param {string} path
   * @param {number} offset
   * @param {number | null} length
   */
  read(path, offset, length) {
    const place = checked(path, "read");
    refuseDirectory(place);
    const content = host.files[place] ?? fail({ tag: "not-found" });
    return { bytes: content.slice(offset, length === null ? undefined : offset + length), size: content.length, revision: revisionOf(content) };
  },
  /** @param {string} path */
  stat: (path) => all().get(checked(path, "read")) ?? null,
  /**
   * @param {string} directory
   * @param {boolean} recursive
   * @param {string | null} after
   * @param {number} limit
   */
  entries(directory, recursive, after, limit) {
    const place = checked(directory, "read");
    const found = all();
    if (!found.has(place)) fail({ tag: "not-found" });
    const below = place === "/" ? "/" : `${place}/`;
    const inside = [...found.values()]
      .filter(({ path }) => path.startsWith(below) && path !== below && (recursive || !path.slice(below.length).includes("/")))
      .filter(({ path }) => after === null || Buffer.compare(Buffer.from(path), Buffer.from(after)) > 0)
      .sort((a, b) => Buffer.compare(Buffer.from(a.path), Buffer.from(b.path)));
    return { entries: inside.slice(0, limit), more: inside.length > limit };
  },
  /**
   * @param {string} path
   * @param {Uint8Array} content
   * @param {string | null} expected
   */
  write(path, content, expected) {
    const place = checked(path, "write");
    refuseDirectory(place);
    if (content.length > MAX_FILE_BYTES) fail({ tag: "too-large", val: `a file has at most ${MAX_FILE_BYTES} bytes` });
    const before = host.files[place];
    if (expected !== null && expected !== (before ? revisionOf(before) : "")) fail({ tag: "conflict" });
    host.files[place] = Uint8Array.from(content);
    return revisionOf(content);
  },
  /** @param {string} path */
  remove(path) {
    const place = checked(path, "write");
    refuseDirectory(place);
    const there = place in host.files;
    delete host.files[place];
    return there;
  },
};
