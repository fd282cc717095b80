"""Requests through the host's gateway. Needs `http=[…]` in `capability()`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlencode

from . import _host, _output
from ._failure import Failure

host = _host.interface("http", "client")
types = _host.bindings("http", "types")

#: Largest body that is read at once unless the caller asks for more, in bytes.
DEFAULT_MAX_BYTES = 2 << 20
PIECE_BYTES = 64 << 10
#: Faults that name a passing state of the network.
TRANSIENT = ("dns", "connect", "timeout")
#: Methods whose repetition does no harm, whether or not the first try arrived.
SAFE_METHODS = ("GET", "HEAD", "OPTIONS")


def request(
    method: str,
    url: str,
    *,
    query: Mapping[str, Any] | None = None,
    headers: Mapping[str, str] | None = None,
    body: bytes | None = None,
    json: Any = None,
    timeout_ms: int | None = None,
) -> Response:
    """Sends a request and waits for the head of its response. A redirect is a response like any other.

    Raises: `Failure` of kind "denied" (it says what to grant), "upstream" or "timeout".
    """
    if body is not None and json is not None:
        raise TypeError("give body or json, not both")
    fields = [(name, value) for name, value in (headers or {}).items()]
    if json is not None:
        body = _output.to_json(_output.to_plain(json)).encode()
        if not any(name.lower() == "content-type" for name, _ in fields):
            fields.append(("content-type", "application/json"))
    if query:
        base, mark, fragment = url.partition("#")
        url = f"{base}{'&' if '?' in base else '?'}{urlencode(query, doseq=True)}{mark}{fragment}"
    sent = types.Request(method=method.upper(), url=url, headers=fields, body=body or b"", timeout_ms=timeout_ms, extra=[])
    return Response(_checked(sent, lambda: host.send(sent)), sent)


def get(url: str, **options: Any) -> Response:
    """`request("GET", …)`."""
    return request("GET", url, **options)


def post(url: str, **options: Any) -> Response:
    """`request("POST", …)`."""
    return request("POST", url, **options)


class Response:
    """A response; its body can be read once."""

    def __init__(self, resource: Any, sent: Any) -> None:
        head = resource.head()
        self.url: str = sent.url
        self.status: int = head.status
        #: Names in lower case; of several fields with one name, the values joined by ", ".
        self.headers: dict[str, str] = {}
        for name, value in head.headers:
            self.headers[name] = f"{self.headers[name]}, {value}" if name in self.headers else value
        self.retry_after_ms: int | None = head.retry_after_ms
        self._resource, self._sent = resource, sent

    @property
    def ok(self) -> bool:
        """Whether the status is 200 to 299."""
        return 200 <= self.status <= 299

    def ensure_ok(self) -> Response:
        """This response.

        Raises: `Failure` of kind "upstream", or "rate-limited", if it is not `ok`.
        """
        if self.ok:
            return self
        kind = "rate-limited" if self.status == 429 else "upstream"
        message = f"{self._sent.method} {self.url} answered {self.status}"
        retryable = self.status in (429, 502, 503, 504)
        raise Failure(kind, message, code=f"http_{self.status}", retryable=retryable, retry_after_ms=self.retry_after_ms)

    def chunks(self) -> Iterator[bytes]:
        """The body piece by piece."""
        while (piece := _checked(self._sent, lambda: self._resource.read(PIECE_BYTES))) is not None:
            yield bytes(piece)

    def events(self) -> Iterator[Any]:
        """The body as server-sent events with `event`, `data` and `id`."""
        while (event := _checked(self._sent, self._resource.read_sse)) is not None:
            yield event

    def read(self, most: int = DEFAULT_MAX_BYTES) -> bytes:
        """The whole body.

        Raises: `Failure` of kind "upstream" if it has more than `most` bytes.
        """
        body = bytearray()
        for piece in self.chunks():
            body += piece
            if len(body) > most:
                raise Failure("upstream", f"the body of {self.url} has more than {most} bytes", code="body_too_large")
        return bytes(body)

    def text(self, most: int = DEFAULT_MAX_BYTES) -> str:
        """The body as UTF-8, wrong bytes replaced."""
        return self.read(most).decode("utf-8", "replace")

    def json(self, most: int = DEFAULT_MAX_BYTES) -> Any:
        """The body as JSON."""
        try:
            return json.loads(self.read(most))
        except ValueError as error:
            raise Failure("upstream", f"the body of {self.url} is not JSON: {error}", code="not_json") from None


def _checked(sent: Any, action: Any) -> Any:
    try:
        return action()
    except Exception as error:
        fault = _host.error_value(error)
        if fault is error:
            raise
        kind = {"denied": "denied", "timeout": "timeout", "invalid": "invalid-arguments"}.get(fault.kind, "upstream")
        repeatable = not fault.request_sent or sent.method in SAFE_METHODS
        retryable = fault.kind in TRANSIENT and repeatable
        raise Failure(
            kind, fault.message, code=f"http_{fault.kind}", retryable=retryable, retry_after_ms=fault.retry_after_ms
        ) from None
