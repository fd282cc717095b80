/** The request of Chat Completions. */
import { Failure } from "@everwit/guest";
import { base64 } from "./base64.js";

/** The body. */
export function toBody(request) {
  const { model, tools, toolChoice, temperature, maxOutputTokens, stop, effort, responseFormat, options } = request;
  return {
    ...options.body,
    model,
    messages: toMessages(request),
    stream: true,
    stream_options: { include_usage: true },
    ...(tools.length > 0 && { tools: tools.map(toTool), tool_choice: toToolChoice(toolChoice) }),
    ...(temperature !== null && { temperature: Number(temperature.toPrecision(7)) }),
    ...(maxOutputTokens !== null && { max_tokens: maxOutputTokens }),
    ...(stop.length > 0 && { stop }),
    ...(effort !== null && { reasoning_effort: effort }),
    ...(responseFormat !== null && { response_format: { type: "json_schema", json_schema: responseFormat } }),
  };
}

const toTool = ({ name, description, input }) => ({ type: "function", function: { name, description, parameters: input } });

const toToolChoice = (choice) => (choice.startsWith("tool:") ? { type: "function", function: { name: choice.slice(5) } } : choice);

function toMessages({ instructions, messages }) {
  const system = instructions === null ? [] : [{ role: "system", content: instructions }];
  return [...system, ...messages.flatMap(toMessage)];
}

/** Results of tools are messages of their own, one for each call. */
function toMessage({ role, blocks }) {
  if (role === "tool") {
    return blocks.filter(({ type }) => type === "tool-result").map(({ id, parts }) => ({ role, tool_call_id: id, content: parts.map(textOf).join("\n") }));
  }
  const calls = blocks.filter(({ type }) => type === "tool-call");
  const parts = blocks.filter(({ type }) => ["text", "data", "blob", "link"].includes(type)).map(toPart);
  const plain = parts.every(({ type }) => type === "text");
  const content = plain ? parts.map(({ text }) => text).join("\n") : parts;
  return [{ role, content: content.length === 0 && calls.length > 0 ? null : content, ...(calls.length > 0 && { tool_calls: calls.map(toCall) }) }];
}

/** Arguments that are a string are what the model wrote in place of an object. */
const toCall = ({ id, name, arguments: args }) => ({
  id, type: "function", function: { name, arguments: typeof args === "string" ? args : JSON.stringify(args) },
});

function toPart(block) {
  const isImage = block.mediaType?.startsWith("image/");
  if (block.type === "blob" && isImage) return image(`data:${block.mediaType};base64,${base64(block.data)}`);
  if (block.type === "link" && isImage) return image(block.uri);
  if (block.type === "blob") throw new Failure("invalid-arguments", `a message has content of type ${block.mediaType}; images are possible`, { code: "invalid_request" });
  return { type: "text", text: textOf(block) };
}

const image = (url) => ({ type: "image_url", image_url: { url } });

function textOf(part) {
  if (part.type === "blob") return `[${part.mediaType} with ${part.data.length} bytes]`;
  return part.text ?? part.uri ?? JSON.stringify(part.body);
}
