/**
 * Between the contract's records of a completion and what driver authors work with.
 */
import { kindOf, toText, toUnsigned } from "./seam.js";

/**
 * A request with its JSON parsed and its variants as plain objects.
 * @param {any} record
 */
export function toRequest(record) {
  return {
    model: record.model,
    instructions: record.instructions ?? null,
    messages: record.messages.map(toMessage),
    tools: record.tools.map((/** @type {any} */ tool) => ({ name: tool.name, description: tool.description, input: JSON.parse(tool.inputSchema) })),
    toolChoice: record.toolChoice,
    temperature: record.temperature ?? null,
    maxOutputTokens: record.maxOutputTokens ?? null,
    stop: record.stop,
    effort: record.effort ?? null,
    responseFormat: record.responseFormat
      ? { name: record.responseFormat.name, schema: JSON.parse(record.responseFormat.schema), strict: record.responseFormat.strict }
      : null,
    promptCacheKey: record.promptCacheKey ?? null,
    metadata: Object.fromEntries(record.metadata),
    options: JSON.parse(record.options),
  };
}

/** @param {any} message */
const toMessage = (message) => ({ role: message.role, blocks: message.blocks.map(toBlock) });

/**
 * Blocks have a `type`: "text", "data", "blob", "link", "tool-call", "tool-result", "reasoning" or
 * "other".
 * @param {any} block
 */
function toBlock({ tag, val }) {
  switch (tag) {
    case "part":
      return toPart(val);
    case "tool-call":
    case "toolCall":
      return { type: "tool-call", id: val.id, name: val.name, arguments: JSON.parse(val.arguments), opaque: val.opaque ?? null };
    case "tool-result":
    case "toolResult":
      return { type: "tool-result", id: val.id, failed: val.failed, parts: val.parts.map(toPart) };
    case "reasoning":
      return { type: "reasoning", text: val.text, opaque: val.opaque ?? null };
    default:
      return { type: "other", kind: val.kind, body: JSON.parse(val.body) };
  }
}

/** @param {any} part */
function toPart({ tag, val }) {
  switch (tag) {
    case "text":
      return { type: "text", text: val };
    case "data":
      return { type: "data", text: val };
    case "blob":
      return { type: "blob", mediaType: val.mediaType, data: val.data instanceof Uint8Array ? val.data : Uint8Array.from(val.data) };
    case "link":
      return { type: "link", uri: val.uri, name: val.name, mediaType: val.mediaType ?? null };
    default:
      return { type: "other", kind: val.kind, body: JSON.parse(val.body) };
  }
}

/** Events, made by `event` and told apart from anything else by their class. */
class Event {
  /**
   * @param {string} tag
   * @param {unknown} val
   */
  constructor(tag, val) {
    this.tag = tag;
    this.val = val;
  }
}

/** @param {unknown} value */
const count = (value) => toUnsigned(value ?? 0) ?? 0;
/** @param {unknown} value */
const optional = (value) => (value == null ? null : toText(value));

/** Makers of what can happen in a completion. */
export const event = {
  /** @param {string} text */
  text: (text) => new Event("text", toText(text)),
  /** @param {string} text @param {string | null} [opaque] */
  reasoning: (text, opaque) => new Event("reasoning", { text: toText(text), opaque: optional(opaque) }),
  /** @param {number} index @param {string} id @param {string} name */
  toolCallStart: (index, id, name) => new Event("tool-call-start", { index: count(index), id: toText(id), name: toText(name) }),
  /** @param {number} index @param {string} text */
  toolCallDelta: (index, text) => new Event("tool-call-delta", { index: count(index), arguments: toText(text) }),
  /** @param {number} index @param {string | null} [opaque] */
  toolCallEnd: (index, opaque) => new Event("tool-call-end", { index: count(index), opaque: optional(opaque) }),
  /** @param {any} counts */
  usage: (counts) =>
    new Event("usage", {
      inputTokens: count(counts.inputTokens),
      outputTokens: count(counts.outputTokens),
      cacheReadTokens: toUnsigned(counts.cacheReadTokens),
      cacheWriteTokens: toUnsigned(counts.cacheWriteTokens),
      reasoningTokens: toUnsigned(counts.reasoningTokens),
      extra: [],
    }),
  /** @param {string} reason @param {{ responseId?: string | null }} [more] */
  finish: (reason, more) => new Event("finish", { reason: toText(reason), responseId: optional(more?.responseId), extra: [] }),
};

/** @param {unknown} value */
export function toEventRecord(value) {
  if (!(value instanceof Event)) throw new TypeError(`an event is made by event.text(), event.finish() and so on; this is ${kindOf(value)}`);
  return { tag: value.tag, val: value.val };
}
