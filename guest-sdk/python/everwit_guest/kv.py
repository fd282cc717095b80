"""Small durable values in buckets: the only way to remember something between calls. Needs `kv=[…]` in `capability()`."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterator
from typing import Any

from . import _host, _output
from ._failure import Failure

host = _host.interface("kv", "store")

MAX_PAGE = 1000
#: Tries of `update` before it gives up on a key that others keep changing.
UPDATE_TRIES = 8


@dataclasses.dataclass(frozen=True)
class Entry:
    """A value with its version: from 1, growing with each write."""

    value: bytes
    version: int


class Bucket:
    """A bucket by its name."""

    def __init__(self, name: str) -> None:
        self.name = name

    def get(self, key: str) -> Entry | None:
        """The entry of a key."""
        entry = self._do(key, lambda: host.get(self.name, key))
        return None if entry is None else Entry(bytes(entry.value), entry.version)

    def get_json(self, key: str, default: Any = None) -> Any:
        """The value of a key as JSON."""
        entry = self.get(key)
        if entry is None:
            return default
        try:
            return json.loads(entry.value)
        except ValueError:
            raise Failure("internal", f"the value of {key!r} in the bucket {self.name!r} is not JSON", code="kv_not_json") from None

    def put(self, key: str, value: bytes, expected: int | None = None) -> int:
        """Writes a key and returns its new version. `expected`: none in any case, 0 only if absent, n only over version n."""
        return self._do(key, lambda: host.put(self.name, key, value, expected))

    def put_json(self, key: str, value: Any, expected: int | None = None) -> int:
        """Writes a key as JSON."""
        return self.put(key, _output.to_json(_output.to_plain(value)).encode(), expected)

    def update(self, key: str, change: Callable[[Any], Any], default: Any = None) -> Any:
        """Replaces the JSON value of a key by what `change` makes of it, again if somebody else wrote in between."""
        for _ in range(UPDATE_TRIES):
            entry = self.get(key)
            value = change(default if entry is None else json.loads(entry.value))
            try:
                self.put_json(key, value, 0 if entry is None else entry.version)
                return value
            except Failure as failure:
                if failure.kind != "conflict":
                    raise
        raise Failure("conflict", f"the key {key!r} changed {UPDATE_TRIES} times while it was updated", code="kv_conflict", retryable=True)

    def remove(self, key: str, expected: int | None = None) -> None:
        """Removes a key; an absent one is no failure unless `expected` says so."""
        self._do(key, lambda: host.remove(self.name, key, expected))

    def keys(self, prefix: str = "") -> Iterator[str]:
        """All keys with a prefix, in byte order."""
        after = None
        while True:
            page = self._do(prefix, lambda: host.keys(self.name, prefix, after, MAX_PAGE))
            yield from page
            if len(page) < MAX_PAGE:
                return
            after = page[-1]

    def _do(self, key: str, action: Callable[[], Any]) -> Any:
        try:
            return action()
        except Exception as error:
            fault = _host.error_value(error)
            if fault is error:
                raise
            raise _failure(fault, self.name, key) from None


def _failure(fault: Any, bucket: str, key: str) -> Failure:
    kind = type(fault).__name__.removeprefix("Fault_")
    if kind == "Denied":
        return Failure("denied", fault.value, code="kv_denied")
    if kind == "TooLarge":
        return Failure("invalid-arguments", f"key or value of {key!r} is too large: at most 512 bytes and 256 KiB", code="kv_too_large")
    if kind == "Quota":
        return Failure("internal", f"the bucket {bucket!r} is full: at most 1,024 keys and 16 MiB", code="kv_quota")
    if kind == "Conflict":
        return Failure("conflict", f"the key {key!r} has another version than the expected one", code="kv_conflict", retryable=True)
    return Failure("internal", str(getattr(fault, "value", fault)), code="kv_failed")
