/**
 * Any server that speaks OpenAI's Chat Completions with server-sent events: vLLM, llama.cpp,
 * LM Studio, LiteLLM and many vendors. The base URL says which.
 */
import { driver, Failure, incomplete, parseJson, refusal } from "@everwit/guest";
import { Answer } from "./answer.js";
import { toBody } from "./request.js";

export const { meta, codec, discovery } = driver({
  id: "openai-compatible",
  title: "OpenAI-compatible server",
  version: "0.1.0",
  summary: "Talks to any server with OpenAI's Chat Completions at the provider's base URL.",
  credentials: [{ name: "api-key", title: "API key", place: "header:authorization", required: false }],
  options: {
    type: "object",
    properties: { body: { type: "object", description: "Further members of the request, for example {\"top_k\": 20}" } },
    additionalProperties: false,
  },
  complete(config, request) {
    const answer = new Answer();
    let refused = 0;
    return {
      request: { url: config.url("/chat/completions"), headers: headers(config), json: toBody(request) },
      onHead(head) {
        const streams = head.headers["content-type"]?.includes("text/event-stream") ?? false;
        if (head.status >= 200 && head.status < 300 && streams) return "sse";
        refused = head.status;
        return "whole";
      },
      onSse: (frame) => answer.add(frame.data),
      onBytes: (body) => {
        throw refused >= 300 ? refusalOf(refused, body) : notAStream();
      },
      onEnd: () => answer.end(),
    };
  },
  discovery: {
    begin: (config) => ({ url: config.url("/models"), headers: headers(config) }),
    decode(status, body) {
      if (status !== 200) throw refusalOf(status, body);
      const { data } = parseJson(body);
      if (!Array.isArray(data)) throw notAStream();
      return data.map(({ id }) => ({ id }));
    },
  },
});

/** A server of one's own often needs no key. */
const headers = (config) => (config.apiKey ? { authorization: config.bearer() } : {});

/** A base URL that leads to a web page or another protocol also answers 200. */
function notAStream() {
  const failure = incomplete();
  failure.message = "the server answers with something else than Chat Completions: is the base URL right, with its /v1?";
  return failure;
}

/** Codes of the protocol that say more than the status. */
const CODES = {
  context_length_exceeded: ["invalid-arguments", "context_too_long"],
  insufficient_quota: ["denied", "quota_exhausted"],
  model_not_found: ["not-found", "model_not_available"],
};

function refusalOf(status, body) {
  const known = CODES[errorOf(body)?.code];
  return known ? new Failure(known[0], reasonOf(body), { code: known[1] }) : refusal(status, reasonOf(body));
}

function errorOf(body) {
  try {
    return parseJson(body).error;
  } catch {
    return undefined;
  }
}

/** Servers say why as `{"error": {"message"}}`, `{"error": ".."}`, `{"message"}` or `{"detail"}`. */
function reasonOf(body) {
  try {
    const { error, message, detail } = parseJson(body);
    const reason = error?.message ?? error ?? message ?? detail;
    return typeof reason === "string" ? reason : JSON.stringify(reason ?? "the server gives no reason");
  } catch {
    return "the server gives no reason";
  }
}
