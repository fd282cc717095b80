"""The files of the session that the call belongs to. Needs `files="read"` or `files="write"` in `capability()`; a read-only tool changes none."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

from . import _host
from ._failure import Failure

host = _host.interface("files", "store")

MAX_PAGE = 1000
#: The expected revision of a file that must be absent.
ABSENT = ""


@dataclasses.dataclass(frozen=True)
class Content:
    """A file, or a piece of it, with the size and the revision of the whole."""

    value: bytes
    size: int
    revision: str


@dataclasses.dataclass(frozen=True)
class Entry:
    """What is known about a file or a directory; a directory has no revision."""

    path: str
    directory: bool
    read_only: bool
    size: int
    revision: str | None
    modified_ms: int | None


def read(path: str, offset: int = 0, length: int | None = None) -> Content:
    """A file from the byte `offset` on, at most `length` bytes of it."""
    content = _do(path, lambda: host.read(path, offset, length))
    return Content(bytes(content.bytes), content.size, content.revision)


def read_text(path: str) -> str:
    """A file as text."""
    try:
        return read(path).value.decode()
    except UnicodeDecodeError:
        raise Failure("conflict", f"{path} is no UTF-8 text", code="not_text") from None


def stat(path: str) -> Entry | None:
    """What is known about a path; none if there is nothing."""
    found = _do(path, lambda: host.stat(path))
    return None if found is None else _entry(found)


def entries(directory: str = "/", recursive: bool = False) -> Iterator[Entry]:
    """What is in a directory, or anywhere below it, in the order of the paths."""
    after = None
    while True:
        page = _do(directory, lambda: host.entries(directory, recursive, after, MAX_PAGE))
        for found in page.entries:
            yield _entry(found)
        if not page.more:
            return
        after = page.entries[-1].path


def write(path: str, content: str | bytes, expected: str | None = None) -> str:
    """Writes a whole file and returns its revision. `expected`: none in any case, `ABSENT`, or the revision that is replaced."""
    value = content.encode() if isinstance(content, str) else content
    return _do(path, lambda: host.write(path, value, expected))


def remove(path: str) -> bool:
    """Removes a file or an empty directory, and says whether there was one."""
    return _do(path, lambda: host.remove(path))


def _entry(found: Any) -> Entry:
    return Entry(found.path, found.directory, found.read_only, found.size, found.revision, found.modified_ms)


def _do(path: str, action: Callable[[], Any]) -> Any:
    try:
        return action()
    except Exception as error:
        fault = _host.error_value(error)
        if fault is error:
            raise
        raise _failure(fault, path) from None


def _failure(fault: Any, path: str) -> Failure:
    kind = type(fault).__name__.removeprefix("Fault_")
    said = str(getattr(fault, "value", fault))
    if kind == "Denied":
        return Failure("denied", said, code="files_denied")
    if kind == "InvalidPath":
        return Failure("invalid-arguments", said, code="invalid_path")
    if kind == "NotFound":
        return Failure("not-found", f"there is no file {path!r}", code="file_not_found")
    if kind == "Unfit":
        return Failure("conflict", said, code="file_unfit")
    if kind == "Conflict":
        return Failure("conflict", f"the file {path!r} is not as expected", code="file_conflict", retryable=True)
    if kind == "TooLarge":
        return Failure("internal", said, code="file_too_large")
    if kind == "Quota":
        return Failure("internal", said, code="files_quota")
    return Failure("internal", said, code="files_failed")
