/**
 * What a tool returns, and its translation into the `call-output` record of the contract.
 */
import { kindOf, toBytes, toJson, toText } from "./seam.js";
import { encodeUtf8 } from "./utf8.js";

/** Explicit output, told apart from plain data by its class. */
class Output {
  /**
   * @param {import("../types/wit.js").PartRecord[]} parts
   * @param {unknown} structured
   */
  constructor(parts, structured) {
    this.parts = parts;
    this.structured = structured;
  }
}

/**
 * Output with explicit parts; `structured` is the same result for programs.
 * @param {{ parts?: unknown[], structured?: unknown }} value
 * @returns {any}
 */
export function output({ parts = [], structured } = {}) {
  if (!Array.isArray(parts)) throw new TypeError(`output: parts must be an array, not ${kindOf(parts)}`);
  return new Output(parts.map(toPart), structured);
}

/** @typedef {import("../types/wit.js").PartRecord} PartRecord */

/**
 * @param {unknown} value
 * @returns {PartRecord}
 */
const text = (value) => ({ tag: "text", val: toText(value) });

/**
 * @param {unknown} value
 * @returns {PartRecord}
 */
const data = (value) => ({ tag: "data", val: toJson(value, "a data part") });

/**
 * @param {string} mediaType
 * @param {string | ArrayBuffer | ArrayBufferView} bytes
 * @returns {PartRecord}
 */
const blob = (mediaType, bytes) => ({
  tag: "blob",
  val: { mediaType: toText(mediaType), data: toBytes(bytes, "the data of a blob part", encodeUtf8) },
});

/**
 * @param {{ uri: string, name?: string, mediaType?: string | null }} target
 * @returns {PartRecord}
 */
const link = ({ uri, name, mediaType }) => ({
  tag: "link",
  val: { uri: toText(uri), name: toText(name ?? uri), mediaType: mediaType == null ? null : toText(mediaType) },
});

/** Makers of the parts of explicit output. */
export const part = { text, data, blob, link };

/**
 * Checks a part; a plain string is a text part.
 * @param {any} value
 * @returns {PartRecord}
 */
export function toPart(value) {
  if (typeof value === "string") return text(value);
  switch (value?.tag) {
    case "text":
      return text(value.val);
    case "data":
      return { tag: "data", val: toText(value.val) };
    case "blob":
      return blob(value.val?.mediaType, value.val?.data);
    case "link":
      return link(value.val ?? {});
    case "other":
      return { tag: "other", val: { kind: toText(value.val?.kind), body: toText(value.val?.body) } };
    default:
      throw new TypeError("a part is a string or made by part.text, part.data, part.blob or part.link");
  }
}

/**
 * The `call-output` record of what a tool returned: a string is one text part, explicit
 * output is itself, anything else is one data part and `structured`.
 * @param {unknown} value
 * @param {string} name the tool's name
 * @param {boolean} promised whether the tool declares an output schema
 * @returns {import("../types/wit.js").OutputRecord}
 */
export function toOutputRecord(value, name, promised) {
  const what = `what the tool "${name}" returned`;
  if (value instanceof Output) {
    const structured = value.structured === undefined ? null : toJson(value.structured, what);
    return { parts: value.parts, structured, extra: [] };
  }
  if (typeof value === "string") {
    return { parts: [text(value)], structured: promised ? toJson(value, what) : null, extra: [] };
  }
  const json = toJson(value, what);
  return { parts: [{ tag: "data", val: json }], structured: json, extra: [] };
}
