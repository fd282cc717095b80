"""The exports of a driver's component, for componentize-py. Only a built component imports this."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from typing import Any

from . import _host, _log, _output, driver
from ._failed import err
from .driver import Config, Definition, Head

chat = _host.bindings("types", "chat")
http = _host.bindings("http", "types")
meta = _host.bindings("driver", "meta", "exports")
codec = _host.bindings("driver", "codec", "exports")

_log.install()

FRAMINGS = {
    "sse": codec.Framing.SSE,
    "json-lines": codec.Framing.JSON_LINES,
    "whole": codec.Framing.WHOLE,
    "bytes": codec.Framing.BYTES,
}


def guarded(step: Callable[..., Any]) -> Callable[..., Any]:
    """What is raised becomes a failure, never a trap."""

    @functools.wraps(step)
    def run(*arguments: Any) -> Any:
        try:
            return step(*arguments)
        except BaseException as error:
            raise err(error) from None

    return run


def _defined() -> Definition:
    if driver.definition is None:
        raise ValueError("nothing calls driver() at the top level of the module")
    return driver.definition


class Meta:
    """`everwit:driver/meta`."""

    def describe(self) -> Any:
        about = _defined().about
        return meta.Description(
            id=about["id"],
            title=about["title"],
            version=about["version"],
            summary=about["summary"],
            options_schema=_output.to_json(about["options_schema"]),
            credentials=[meta.Credential(**entry) for entry in about["credentials"]],
            default_base_url=about["default_base_url"],
            models=[_model(model) for model in about["models"]],
            extra=[],
        )


class Codec:
    """`everwit:driver/codec`; one instance serves one completion."""

    completion: Any = None

    @guarded
    def begin(self, config: Any, request: Any) -> Any:
        Codec.completion = _defined().complete(_config(config), _request(request))
        return _http_request(Codec.completion.request())

    @guarded
    def on_head(self, head: Any) -> Any:
        headers: dict[str, str] = {}
        for name, value in head.headers:
            headers.setdefault(name, value)
        framing = Codec.completion.on_head(Head(head.status, headers))
        if framing not in FRAMINGS:
            raise TypeError(f"on_head returned {framing!r}; a framing is one of {', '.join(FRAMINGS)}")
        return FRAMINGS[framing]

    @guarded
    def on_sse(self, frame: Any) -> Any:
        return _events(Codec.completion.on_sse(driver.Frame(frame.event, frame.data, frame.id)))

    @guarded
    def on_bytes(self, frame: bytes) -> Any:
        return _events(Codec.completion.on_bytes(bytes(frame)))

    @guarded
    def on_end(self) -> Any:
        return _events(Codec.completion.on_end())


class Discovery:
    """`everwit:driver/discovery`."""

    @guarded
    def begin(self, config: Any) -> Any:
        return _http_request(_defined().discovery.begin(_config(config)))

    @guarded
    def decode(self, status: int, body: bytes) -> Any:
        return [_model(model) for model in _defined().discovery.decode(status, bytes(body))]


class TokenExchange:
    """`everwit:driver/token-exchange`."""

    @guarded
    def begin(self, config: Any) -> Any:
        return _http_request(_defined().token_exchange.begin(_config(config)))

    @guarded
    def decode(self, status: int, body: bytes) -> Any:
        access = _defined().token_exchange.decode(status, bytes(body))
        return _host.bindings("driver", "token-exchange", "exports").Access(access.token, access.expires_in_ms, access.refresh_token)


def _config(record: Any) -> Config:
    metadata = record.metadata
    return Config(
        api_key=record.api_key,
        base_url=None if record.base_url is None else record.base_url.rstrip("/"),
        refresh_token=metadata and metadata.refresh_token,
        account_id=metadata and metadata.account_id,
        extra=json.loads(metadata.extra) if metadata and metadata.extra is not None else None,
    )


def _request(record: Any) -> driver.Request:
    shape = record.response_format
    return driver.Request(
        model=record.model,
        instructions=record.instructions,
        messages=[driver.Message(message.role, [_block(block) for block in message.blocks]) for message in record.messages],
        tools=[driver.Tool(tool.name, tool.description, json.loads(tool.input_schema)) for tool in record.tools],
        tool_choice=record.tool_choice,
        temperature=record.temperature,
        max_output_tokens=record.max_output_tokens,
        stop=list(record.stop),
        effort=record.effort,
        response_format=None if shape is None else driver.ResponseFormat(shape.name, json.loads(shape.schema), shape.strict),
        prompt_cache_key=record.prompt_cache_key,
        metadata=dict(record.metadata),
        options=json.loads(record.options or "{}"),
    )


def _block(block: Any) -> driver.Block:
    value = block.value
    match type(block).__name__:
        case "Block_Part":
            return _part(value)
        case "Block_ToolCall":
            return driver.ToolCall(value.id, value.name, json.loads(value.arguments), value.opaque)
        case "Block_ToolResult":
            return driver.ToolResult(value.id, value.failed, [_part(part) for part in value.parts])
        case "Block_Reasoning":
            return driver.Reasoning(value.text, value.opaque)
        case _:
            return driver.Other(value.kind, json.loads(value.body))


def _part(part: Any) -> Any:
    value = part.value
    match type(part).__name__:
        case "Part_Text":
            return _output.Text(value)
        case "Part_Data":
            return _output.Data(json.loads(value))
        case "Part_Blob":
            return _output.Blob(value.media_type, bytes(value.data))
        case "Part_Link":
            return _output.Link(value.uri, value.name, value.media_type)
        case _:
            return driver.Other(value.kind, json.loads(value.body))


def _http_request(request: driver.HttpRequest) -> Any:
    method, fields, body = driver.sent(request)
    return http.Request(method=method, url=request.url, headers=fields, body=body, timeout_ms=None, extra=[])


def _events(events: Any) -> list[Any]:
    return [_event(event) for event in events or ()]


def _event(event: Any) -> Any:
    match event:
        case _output.Text(text):
            return chat.Event_Text(text)
        case driver.Reasoning(text, opaque):
            return chat.Event_Reasoning(chat.Reasoning(text, opaque))
        case driver.ToolCallStart(index, id, name):
            return chat.Event_ToolCallStart(chat.ToolCallStart(index, id, name))
        case driver.ToolCallDelta(index, arguments):
            return chat.Event_ToolCallDelta(chat.ToolCallDelta(index, arguments))
        case driver.ToolCallEnd(index, opaque):
            return chat.Event_ToolCallEnd(chat.ToolCallEnd(index, opaque))
        case driver.Usage():
            counts = (event.input_tokens, event.output_tokens, event.cache_read_tokens, event.cache_write_tokens, event.reasoning_tokens)
            return chat.Event_Usage(chat.Usage(*counts, extra=[]))
        case driver.Finish(reason, response_id):
            return chat.Event_Finish(chat.Finish(reason, response_id, extra=[]))
        case _:
            raise TypeError(f"{event!r} is no event of a completion")


def _model(model: driver.Model) -> Any:
    return chat.ModelInfo(model.id, model.title or model.id, model.context_tokens, model.output_tokens, list(model.features), extra=[])
