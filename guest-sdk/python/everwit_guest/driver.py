"""Write model drivers: the translation between Everwit's chat language and one vendor's protocol. The host does all I/O.

A module calls `driver(…)` in place of `capability(…)`. One instance of the component serves one completion, so that what belongs to it lives in
the object that `complete` makes.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol, Union

from . import _output
from ._definition import _record
from ._failure import Failure
from ._output import Blob, Data, Link, Text

#: How the host cuts a body: server-sent events go to `on_sse`; lines, the whole or pieces as they arrive to `on_bytes`.
FRAMINGS = ("sse", "json-lines", "whole", "bytes")
CREDENTIALS = ("api-key", "refresh-token", "account-id")
PLACE = re.compile(r"header:[A-Za-z0-9!#$%&'*+.^_`|~-]+|query:.+|body")
NO_OPTIONS = {"type": "object", "properties": {}, "additionalProperties": False}


@dataclasses.dataclass(frozen=True)
class Config:
    """A provider's account. A credential that the driver has named is a placeholder, which the host replaces in its place."""

    api_key: str | None
    #: Without a trailing slash. All requests go to its origin.
    base_url: str | None
    refresh_token: str | None = None
    account_id: str | None = None
    #: What only this vendor has.
    extra: Any = None

    def url(self, path: str) -> str:
        """The base URL and a path that begins with a slash."""
        if self.base_url is None:
            raise Failure("invalid-arguments", "there is no base URL", code="configuration")
        return self.base_url + path

    def bearer(self) -> str:
        """The value of `authorization` with the API key."""
        if not self.api_key:
            raise Failure("invalid-arguments", "there is no API key", code="configuration")
        return f"Bearer {self.api_key}"


@dataclasses.dataclass(frozen=True)
class ToolCall:
    """The model has asked for a tool. `arguments` is an object, or a text if the model wrote something else."""

    id: str
    name: str
    arguments: Any
    #: Vendor data that goes back unchanged with this call.
    opaque: str | None = None


@dataclasses.dataclass(frozen=True)
class ToolResult:
    """What a call has returned."""

    id: str
    failed: bool
    parts: list[Any]


@dataclasses.dataclass(frozen=True)
class Reasoning:
    """The model's reasoning; as an event, a piece with `opaque` ends the block."""

    text: str
    opaque: str | None = None


@dataclasses.dataclass(frozen=True)
class Other:
    """A kind that this version does not name."""

    kind: str
    body: Any


#: What a message is made of.
Block = Union[Text, Data, Blob, Link, ToolCall, ToolResult, Reasoning, Other]


@dataclasses.dataclass(frozen=True)
class Message:
    """One message; `role` is "system", "user", "assistant" or "tool"."""

    role: str
    blocks: list[Block]


@dataclasses.dataclass(frozen=True)
class Tool:
    """A tool that the model may call."""

    name: str
    description: str
    input: dict[str, Any]


@dataclasses.dataclass(frozen=True)
class ResponseFormat:
    """The shape that the answer must have."""

    name: str
    schema: dict[str, Any]
    strict: bool


@dataclasses.dataclass(frozen=True)
class Request:
    """What is to be completed."""

    model: str
    instructions: str | None = None
    messages: list[Message] = dataclasses.field(default_factory=list)
    tools: list[Tool] = dataclasses.field(default_factory=list)
    #: "auto", "none", "required" or "tool:<name>".
    tool_choice: str = "auto"
    temperature: float | None = None
    max_output_tokens: int | None = None
    stop: list[str] = dataclasses.field(default_factory=list)
    effort: str | None = None
    response_format: ResponseFormat | None = None
    prompt_cache_key: str | None = None
    metadata: dict[str, str] = dataclasses.field(default_factory=dict)
    #: Valid against the driver's `options`.
    options: dict[str, Any] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass
class HttpRequest:
    """What the host sends: POST if there is a body, else GET, unless `method` says otherwise."""

    url: str
    headers: Mapping[str, str] = dataclasses.field(default_factory=dict)
    json: Any = None
    body: bytes = b""
    method: str | None = None


@dataclasses.dataclass(frozen=True)
class Head:
    """The head of the answer; names of `headers` are in lower case."""

    status: int
    headers: dict[str, str]


@dataclasses.dataclass(frozen=True)
class Frame:
    """A server-sent event."""

    event: str
    data: str
    id: str


@dataclasses.dataclass(frozen=True)
class ToolCallStart:
    """A call begins; `index` counts the calls of the completion from 0."""

    index: int
    id: str
    name: str


@dataclasses.dataclass(frozen=True)
class ToolCallDelta:
    """A piece of a call's arguments."""

    index: int
    arguments: str


@dataclasses.dataclass(frozen=True)
class ToolCallEnd:
    """A call is complete."""

    index: int
    opaque: str | None = None


@dataclasses.dataclass(frozen=True)
class Usage:
    """Token counts, which do not overlap; those of the last one count."""

    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int | None = None
    cache_write_tokens: int | None = None
    #: How many of the output were reasoning.
    reasoning_tokens: int | None = None


@dataclasses.dataclass(frozen=True)
class Finish:
    """The end; `reason` is "stop", "tool-calls", "length", "content-filter" or the vendor's word."""

    reason: str
    response_id: str | None = None


#: What happens in a completion; a `Text` is appended to the answer.
Event = Union[Text, Reasoning, ToolCallStart, ToolCallDelta, ToolCallEnd, Usage, Finish]


@dataclasses.dataclass(frozen=True)
class Model:
    """A model that a provider offers."""

    id: str
    title: str = ""
    context_tokens: int | None = None
    output_tokens: int | None = None
    features: list[str] = dataclasses.field(default_factory=list)


@dataclasses.dataclass(frozen=True)
class Access:
    """A short-lived token that takes the place of the API key."""

    token: str
    expires_in_ms: int | None = None
    refresh_token: str | None = None


class Completion(Protocol):
    """One completion: made with configuration and request, asked once for what to send, then told what comes back. A class needs those of
    `on_sse` and `on_bytes` that its framings lead to.
    """

    def request(self) -> HttpRequest:
        """What to send."""

    def on_head(self, head: Head) -> str:
        """How the body is cut: one of `FRAMINGS`."""

    def on_sse(self, frame: Frame) -> Iterable[Event]:
        """What a server-sent event says."""

    def on_bytes(self, frame: bytes) -> Iterable[Event]:
        """What another frame says."""

    def on_end(self) -> Iterable[Event]:
        """What the end of the body says. Raises `incomplete()` if the answer is not whole."""


@dataclasses.dataclass(frozen=True)
class Steps:
    """A request and the reading of its answer: `discovery` returns `Model`s, `token_exchange` an `Access`."""

    begin: Callable[[Config], HttpRequest]
    decode: Callable[[int, bytes], Any]


@dataclasses.dataclass(frozen=True)
class Definition:
    """The driver of this component."""

    about: dict[str, Any]
    complete: Callable[[Config, Request], Completion]
    discovery: Steps | None
    token_exchange: Steps | None


#: What the component offers. A component is one driver, so that one place is enough for it.
definition: Definition | None = None


def driver(
    *,
    id: str,
    title: str,
    summary: str,
    complete: Callable[[Config, Request], Completion],
    version: str = "0.1.0",
    options: dict[str, Any] = NO_OPTIONS,
    credentials: Iterable[dict[str, Any]] = (),
    default_base_url: str | None = None,
    models: Iterable[Model] = (),
    discovery: Steps | None = None,
    token_exchange: Steps | None = None,
) -> None:
    """Declares the driver that this component is.

    `complete` makes a `Completion`. `credentials` has objects with `name` ("api-key", "refresh-token", "account-id"), `title`, `place` ("header:…",
    "query:…", "body") and `required`; what is not listed the driver gets as it is. `options` is the JSON Schema of `request.options`.
    """
    global definition
    if definition is not None:
        raise ValueError("a component is one driver, and driver() was called twice")
    places = [_record("credentials", {"title": entry.get("name", ""), **entry}, {"name": None, "title": "", "place": None, "required": True}, "name", "place") for entry in credentials]
    for entry in places:
        if entry["name"] not in CREDENTIALS:
            raise ValueError(f"there is no credential {entry['name']!r}; there are {', '.join(CREDENTIALS)}")
        if not PLACE.fullmatch(entry["place"]):
            raise ValueError(f"the place {entry['place']!r} of {entry['name']!r} must be header:<name>, query:<name> or body")
    about = {
        "id": id,
        "title": title,
        "version": version,
        "summary": summary,
        "options_schema": options,
        "credentials": places,
        "default_base_url": default_base_url,
        "models": list(models),
    }
    definition = Definition(about, complete, discovery, token_exchange)


def parse_json(data: bytes | str) -> Any:
    """The JSON value of an answer, or of a frame.

    Raises: `Failure` with the code "invalid_response".
    """
    try:
        return json.loads(data)
    except ValueError as error:
        raise Failure("upstream", f"the answer cannot be read: {error}", code="invalid_response") from None


def incomplete() -> Failure:
    """The failure of a completion whose body ended before its answer did."""
    return Failure("upstream", "the answer ended before it was complete", code="invalid_response")


def refusal(status: int, message: str) -> Failure:
    """The failure that an HTTP status other than 2xx means, with the vendor's words."""
    known = {
        401: ("denied", "authentication"),
        403: ("denied", "authentication"),
        404: ("not-found", "model_not_available"),
        408: ("timeout", "timeout"),
        413: ("invalid-arguments", "context_too_long"),
        429: ("rate-limited", "rate_limited"),
        504: ("timeout", "timeout"),
    }
    kind, code = known.get(status, ("invalid-arguments", "invalid_request") if status < 500 else ("upstream", "unavailable"))
    return Failure(kind, f"status {status}: {message}", code=code, retryable=status == 429 or status >= 500)


def sent(request: HttpRequest) -> tuple[str, list[tuple[str, str]], bytes]:
    """Method, header fields and body of a request."""
    fields, body = list(request.headers.items()), request.body
    if request.json is not None:
        body = _output.to_json(_output.to_plain(request.json)).encode()
        if not any(name.lower() == "content-type" for name, _ in fields):
            fields.append(("content-type", "application/json"))
    return (request.method or ("POST" if body else "GET")).upper(), fields, body
