"""A model driver as an author writes it in Python: any server with OpenAI's Chat Completions. The same as `components/openai-compatible-driver`
in JavaScript, and held to the same recordings.
"""

import base64
import json
from typing import Any

from everwit_guest import Blob, Data, Failure, Link, Text
from everwit_guest.driver import (
    Config, Finish, Frame, Head, HttpRequest, Message, Model, Reasoning, Request, Steps, ToolCall, ToolCallDelta, ToolCallEnd, ToolCallStart,
    ToolResult, Usage, driver, incomplete, parse_json, refusal,
)

REASONS = {"tool_calls": "tool-calls", "function_call": "tool-calls", "content_filter": "content-filter"}
#: Codes of the protocol that say more than the status.
CODES = {
    "context_length_exceeded": ("invalid-arguments", "context_too_long"),
    "insufficient_quota": ("denied", "quota_exhausted"),
    "model_not_found": ("not-found", "model_not_available"),
}


class ChatCompletion:
    """One completion."""

    def __init__(self, config: Config, request: Request) -> None:
        self._request = HttpRequest(config.url("/chat/completions"), headers(config), json=body_of(request))
        #: Vendor's index of a call → its position among the calls of this answer.
        self._calls: dict[Any, int] = {}
        self._reason: str | None = None
        self._id: str | None = None
        self._status = 0
        self._ended = False

    def request(self) -> HttpRequest:
        return self._request

    def on_head(self, head: Head) -> str:
        if 200 <= head.status < 300 and "text/event-stream" in head.headers.get("content-type", ""):
            return "sse"
        self._status = head.status
        return "whole"

    def on_bytes(self, body: bytes) -> list[Any]:
        raise refused(self._status, body) if self._status >= 300 else no_stream()

    def on_sse(self, frame: Frame) -> list[Any]:
        if frame.data.strip() == "[DONE]":
            return self.on_end()
        chunk = parse_json(frame.data)
        if chunk.get("error"):
            raise reported(chunk["error"])
        self._id = self._id or chunk.get("id")
        events: list[Any] = []
        for choice in (chunk.get("choices") or [])[:1]:
            delta = choice.get("delta") or {}
            if thought := delta.get("reasoning_content") or delta.get("reasoning"):
                events.append(Reasoning(thought))
            events += [Text(delta[key]) for key in ("content", "refusal") if delta.get(key)]
            for call in delta.get("tool_calls") or []:
                events += self._call(call)
            if reason := choice.get("finish_reason"):
                self._reason = REASONS.get(reason, reason)
        if counts := chunk.get("usage"):
            events.append(usage(counts))
        return events

    def _call(self, call: dict[str, Any]) -> list[Any]:
        """A call begins with its name, and its arguments follow in pieces."""
        index, function, events = call.get("index", len(self._calls)), call.get("function") or {}, []
        if index not in self._calls:
            self._calls[index] = len(self._calls)
            events.append(ToolCallStart(self._calls[index], call.get("id") or "", function.get("name") or ""))
        if function.get("arguments"):
            events.append(ToolCallDelta(self._calls[index], function["arguments"]))
        return events

    def on_end(self) -> list[Any]:
        if self._ended:
            return []
        if self._reason is None:
            raise incomplete()
        self._ended = True
        # Some servers say "stop" after calls, too.
        reason = "tool-calls" if self._reason == "stop" and self._calls else self._reason
        return [*(ToolCallEnd(index) for index in self._calls.values()), Finish(reason, self._id)]


def headers(config: Config) -> dict[str, str]:
    """A server of one's own often needs no key."""
    return {"authorization": config.bearer()} if config.api_key else {}


def body_of(request: Request) -> dict[str, Any]:
    system = [] if request.instructions is None else [{"role": "system", "content": request.instructions}]
    messages = [sent for message in request.messages for sent in messages_of(message)]
    body = request.options.get("body", {}) | {"model": request.model, "messages": system + messages, "stream": True, "stream_options": {"include_usage": True}}
    if request.tools:
        choice = request.tool_choice
        body["tools"] = [{"type": "function", "function": {"name": tool.name, "description": tool.description, "parameters": tool.input}} for tool in request.tools]
        body["tool_choice"] = {"type": "function", "function": {"name": choice[5:]}} if choice.startswith("tool:") else choice
    if request.temperature is not None:
        body["temperature"] = float(f"{request.temperature:.7g}")
    shape = request.response_format
    optional = {
        "max_tokens": request.max_output_tokens,
        "stop": request.stop or None,
        "reasoning_effort": request.effort,
        "response_format": shape and {"type": "json_schema", "json_schema": {"name": shape.name, "schema": shape.schema, "strict": shape.strict}},
    }
    return body | {name: value for name, value in optional.items() if value is not None}


def messages_of(message: Message) -> list[dict[str, Any]]:
    """Results of tools are messages of their own, one for each call."""
    if message.role == "tool":
        results = [block for block in message.blocks if isinstance(block, ToolResult)]
        return [{"role": "tool", "tool_call_id": result.id, "content": "\n".join(map(text_of, result.parts))} for result in results]
    parts = [part_of(block) for block in message.blocks if isinstance(block, (Text, Data, Blob, Link))]
    calls = [call_of(block) for block in message.blocks if isinstance(block, ToolCall)]
    plain = all(part["type"] == "text" for part in parts)
    content = "\n".join(part["text"] for part in parts) if plain else parts
    return [{"role": message.role, "content": content or (None if calls else content)} | ({"tool_calls": calls} if calls else {})]


def call_of(call: ToolCall) -> dict[str, Any]:
    """Arguments that are a text are what the model wrote in place of an object."""
    arguments = call.arguments if isinstance(call.arguments, str) else to_json(call.arguments)
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": arguments}}


def part_of(block: Any) -> dict[str, Any]:
    if isinstance(block, (Blob, Link)) and (block.media_type or "").startswith("image/"):
        url = block.uri if isinstance(block, Link) else f"data:{block.media_type};base64,{base64.b64encode(block.data).decode()}"
        return {"type": "image_url", "image_url": {"url": url}}
    if isinstance(block, Blob):
        raise Failure("invalid-arguments", f"a message has content of type {block.media_type}; images are possible", code="invalid_request")
    return {"type": "text", "text": text_of(block)}


def text_of(part: Any) -> str:
    match part:
        case Text(text):
            return text
        case Data(value):
            return to_json(value)
        case Blob(media_type, data):
            return f"[{media_type} with {len(data)} bytes]"
        case Link(uri):
            return uri
        case other:
            return to_json(other.body)


def to_json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def usage(counts: dict[str, Any]) -> Usage:
    """Cached tokens are counted among the input there, and apart here."""
    entire = counts.get("prompt_tokens") or 0
    cached = min((counts.get("prompt_tokens_details") or {}).get("cached_tokens") or 0, entire)
    reasoning = (counts.get("completion_tokens_details") or {}).get("reasoning_tokens")
    return Usage(entire - cached, counts.get("completion_tokens") or 0, cache_read_tokens=cached, reasoning_tokens=reasoning)


def no_stream() -> Failure:
    """A base URL that leads to a web page or another protocol also answers 200."""
    message = "the server answers with something else than Chat Completions: is the base URL right, with its /v1?"
    return Failure("upstream", message, code="invalid_response")


def refused(status: int, body: bytes) -> Failure:
    """Servers say why as `{"error": {"message"}}`, `{"error": ".."}`, `{"message"}` or `{"detail"}`."""
    try:
        said = json.loads(body)
    except ValueError:
        said = None
    said = said if isinstance(said, dict) else {}
    error = said.get("error")
    told = error if isinstance(error, dict) else {}
    reason = told.get("message") or error or said.get("message") or said.get("detail") or "the server gives no reason"
    reason = reason if isinstance(reason, str) else to_json(reason)
    if known := CODES.get(told.get("code")):
        return Failure(known[0], reason, code=known[1])
    return refusal(status, reason)


def reported(error: Any) -> Failure:
    """An error that comes in place of a chunk."""
    error = {"message": error} if isinstance(error, str) else error
    message, code = error.get("message") or "the server gives no reason", error.get("code")
    if code == "insufficient_quota":
        return Failure("rate-limited", message, code="quota_exhausted")
    if code in (429, "429") or "rate_limit_exceeded" in (code, error.get("type")):
        return Failure("rate-limited", message, code="rate_limited", retryable=True)
    if code == "context_length_exceeded":
        return Failure("invalid-arguments", message, code="context_too_long")
    return Failure("upstream", message, code="unavailable", retryable=True)


def models_of(status: int, body: bytes) -> list[Model]:
    if status != 200:
        raise refused(status, body)
    listed = parse_json(body).get("data")
    if not isinstance(listed, list):
        raise no_stream()
    return [Model(model["id"]) for model in listed]


driver(
    id="driver-python",
    title="OpenAI-compatible server",
    summary="Talks to any server with OpenAI's Chat Completions at the provider's base URL.",
    credentials=[{"name": "api-key", "title": "API key", "place": "header:authorization", "required": False}],
    options={"type": "object", "properties": {"body": {"type": "object", "description": "Further members of the request"}}, "additionalProperties": False},
    complete=ChatCompletion,
    discovery=Steps(lambda config: HttpRequest(config.url("/models"), headers(config)), models_of),
)
