/** The answer of Chat Completions, chunk by chunk. */
import { event, Failure, incomplete, parseJson } from "@everwit/guest";

const REASONS = { tool_calls: "tool-calls", function_call: "tool-calls", content_filter: "content-filter" };

/** What was answered so far. */
export class Answer {
  /** Vendor's index of a call → its position among the calls of this answer. */
  #calls = new Map();
  /** Why it ended; said last, because the token counts come after it. */
  #reason = null;
  #id = null;
  #ended = false;

  /** The events of a chunk. */
  add(data) {
    if (data.trim() === "[DONE]") return this.end();
    const chunk = parseJson(data);
    if (chunk.error) throw reported(chunk.error);
    this.#id ??= chunk.id ?? null;
    const events = [];
    const choice = chunk.choices?.[0];
    if (choice) {
      const { content, reasoning_content: thoughts, reasoning, refusal } = choice.delta ?? {};
      if (thoughts ?? reasoning) events.push(event.reasoning(thoughts ?? reasoning));
      if (content) events.push(event.text(content));
      if (refusal) events.push(event.text(refusal));
      for (const call of choice.delta?.tool_calls ?? []) events.push(...this.#call(call));
      if (choice.finish_reason) this.#reason = REASONS[choice.finish_reason] ?? choice.finish_reason;
    }
    if (chunk.usage) events.push(event.usage(toCounts(chunk.usage)));
    return events;
  }

  /** A call begins with its name, and its arguments follow in pieces. */
  #call({ index = this.#calls.size, id, function: { name, arguments: text } = {} }) {
    const events = [];
    if (!this.#calls.has(index)) {
      this.#calls.set(index, this.#calls.size);
      events.push(event.toolCallStart(this.#calls.get(index), id ?? "", name ?? ""));
    }
    if (text) events.push(event.toolCallDelta(this.#calls.get(index), text));
    return events;
  }

  /** The last events: calls end with the answer. */
  end() {
    if (this.#ended) return [];
    if (this.#reason === null) throw incomplete();
    this.#ended = true;
    // Some servers say "stop" after calls, too.
    const reason = this.#reason === "stop" && this.#calls.size > 0 ? "tool-calls" : this.#reason;
    return [...[...this.#calls.values()].map((index) => event.toolCallEnd(index)), event.finish(reason, { responseId: this.#id })];
  }
}

/** Cached tokens are counted among the input there, and apart here. */
function toCounts({ prompt_tokens: input = 0, completion_tokens: output = 0, prompt_tokens_details: cache, completion_tokens_details: details }) {
  const cached = Math.min(cache?.cached_tokens ?? 0, input);
  return { inputTokens: input - cached, outputTokens: output, cacheReadTokens: cached, reasoningTokens: details?.reasoning_tokens ?? null };
}

function reported(error) {
  const message = typeof error === "string" ? error : (error.message ?? "the server gives no reason");
  const status = Number(error.code ?? error.status ?? 500);
  if (error.code === "insufficient_quota") return new Failure("rate-limited", message, { code: "quota_exhausted" });
  if (status === 429 || [error.code, error.type].includes("rate_limit_exceeded")) return new Failure("rate-limited", message, { code: "rate_limited", retryable: true });
  if (error.code === "context_length_exceeded") return new Failure("invalid-arguments", message, { code: "context_too_long" });
  return new Failure("upstream", message, { code: "unavailable", retryable: true });
}
