"""A stand-in for the host, for tests that run where there is none: `host` holds what guests see and what they did."""

from __future__ import annotations

import dataclasses
import enum
import hashlib
import json
from typing import Any

from . import _call, _output
from ._definition import Context
from ._failure import Failure


class Err(Exception):
    """As componentize-py raises failures of host functions."""

    def __init__(self, value: Any) -> None:
        super().__init__(value)
        self.value = value


Level = enum.Enum("Level", "TRACE DEBUG INFO WARN ERROR")
Stop = enum.Enum("Stop", "CANCELLED DEADLINE")


@dataclasses.dataclass
class Request:
    """`everwit:http/types.request`."""

    method: str
    url: str
    headers: list[tuple[str, str]]
    body: bytes
    timeout_ms: int | None
    extra: list[tuple[str, str]]


@dataclasses.dataclass
class Reply:
    """What the host answers to a request: set `host.replies["GET https://…"]`."""

    status: int = 200
    headers: list[tuple[str, str]] = dataclasses.field(default_factory=list)
    body: bytes = b""
    retry_after_ms: int | None = None


@dataclasses.dataclass
class HttpFault:
    """`everwit:http/types.fault`."""

    kind: str
    message: str
    request_sent: bool = False
    retry_after_ms: int | None = None


@dataclasses.dataclass
class KvEntry:
    """`everwit:kv/store.entry`."""

    value: bytes
    version: int


@dataclasses.dataclass
class FileContent:
    """`everwit:files/store.content`."""

    bytes: bytes
    size: int
    revision: str


@dataclasses.dataclass
class FileEntry:
    """`everwit:files/store.entry`."""

    path: str
    directory: bool
    read_only: bool
    size: int
    revision: str | None
    modified_ms: int | None


@dataclasses.dataclass
class FilePage:
    """`everwit:files/store.page`."""

    entries: list[FileEntry]
    more: bool


Fault_NotFound = type("Fault_NotFound", (), {})
Fault_InvalidPath = dataclasses.make_dataclass("Fault_InvalidPath", ["value"])
Fault_Unfit = dataclasses.make_dataclass("Fault_Unfit", ["value"])
Fault_Conflict = type("Fault_Conflict", (), {})
Fault_Denied = dataclasses.make_dataclass("Fault_Denied", ["value"])


class Host:
    """The state of the stand-in."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forgets everything."""
        self.logs: list[tuple[str, str, dict[str, str]]] = []
        self.buckets: dict[str, dict[str, KvEntry]] = {}
        self.file_access = "none"
        self.files: dict[str, bytes] = {}
        self.replies: dict[str, Reply | HttpFault] = {}
        self.requests: list[Request] = []
        self.secrets: dict[str, str] = {}
        self.reported: list[tuple[int, int | None, str | None]] = []
        self.remaining_ms = 30_000
        self.stop: str | None = None


host = Host()


class _Log:
    Level = Level

    @staticmethod
    def write(level: Level, message: str, fields: list[tuple[str, str]]) -> None:
        host.logs.append((level.name.lower(), message, dict(fields)))


class _HostCall:
    @staticmethod
    def remaining_ms() -> int:
        return host.remaining_ms

    @staticmethod
    def stopped() -> Stop | None:
        return None if host.stop is None else Stop[host.stop.upper()]

    @staticmethod
    def progress(done: int, total: int | None, note: str | None) -> None:
        if host.stop is not None:
            raise Err(Stop[host.stop.upper()])
        host.reported.append((done, total, note))


class _Kv:
    @staticmethod
    def _bucket(bucket: str) -> dict[str, KvEntry]:
        if bucket not in host.buckets:
            raise Err(Fault_Denied(f"grant kv {bucket!r}"))
        return host.buckets[bucket]

    @staticmethod
    def get(bucket: str, key: str) -> KvEntry | None:
        return _Kv._bucket(bucket).get(key)

    @staticmethod
    def put(bucket: str, key: str, value: bytes, expected: int | None) -> int:
        entries = _Kv._bucket(bucket)
        version = entries[key].version if key in entries else 0
        if expected is not None and expected != version:
            raise Err(Fault_Conflict())
        entries[key] = KvEntry(value, version + 1)
        return version + 1

    @staticmethod
    def remove(bucket: str, key: str, expected: int | None) -> None:
        entries = _Kv._bucket(bucket)
        version = entries[key].version if key in entries else 0
        if expected is not None and expected != version:
            raise Err(Fault_Conflict())
        entries.pop(key, None)

    @staticmethod
    def keys(bucket: str, prefix: str, after: str | None, limit: int) -> list[str]:
        keys = sorted(key for key in _Kv._bucket(bucket) if key.startswith(prefix) and (after is None or key > after))
        return keys[:limit]


class _Files:
    """Directories are those of the files that there are."""

    @staticmethod
    def _path(path: str, needs: str) -> str:
        if host.file_access not in ("write", needs):
            raise Err(Fault_Denied(f"grant files {needs!r}"))
        names = [name for name in path.split("/") if name not in ("", ".")]
        if ".." in names or "\\" in path or "\0" in path:
            raise Err(Fault_InvalidPath(f"{path!r} is no path of a session file"))
        return "/" + "/".join(names[1:] if names[:1] == ["workspace"] else names)

    @staticmethod
    def _all() -> dict[str, FileEntry]:
        found = {"/": FileEntry("/", True, False, 0, None, None)}
        for path, content in host.files.items():
            above = path.rpartition("/")[0]
            while above:
                found[above] = FileEntry(above, True, False, 0, None, None)
                above = above.rpartition("/")[0]
            found[path] = FileEntry(path, False, False, len(content), _Files._revision(content), None)
        return dict(sorted(found.items()))

    @staticmethod
    def _revision(content: bytes) -> str:
        return hashlib.sha256(content).hexdigest()

    @staticmethod
    def _no_directory(path: str) -> None:
        found = _Files._all().get(path)
        if found is not None and found.directory:
            raise Err(Fault_Unfit(f"{path} is a directory"))

    @staticmethod
    def read(path: str, offset: int, length: int | None) -> FileContent:
        path = _Files._path(path, "read")
        _Files._no_directory(path)
        if path not in host.files:
            raise Err(Fault_NotFound())
        content = host.files[path]
        piece = content[offset : len(content) if length is None else offset + length]
        return FileContent(piece, len(content), _Files._revision(content))

    @staticmethod
    def stat(path: str) -> FileEntry | None:
        return _Files._all().get(_Files._path(path, "read"))

    @staticmethod
    def entries(directory: str, recursive: bool, after: str | None, limit: int) -> FilePage:
        directory = _Files._path(directory, "read")
        found = _Files._all()
        if directory not in found:
            raise Err(Fault_NotFound())
        below = directory.rstrip("/") + "/"
        names = [path for path in found if path.startswith(below) and path != below and (recursive or "/" not in path[len(below) :])]
        names = [path for path in names if after is None or path > after]
        return FilePage([found[path] for path in names[:limit]], len(names) > limit)

    @staticmethod
    def write(path: str, content: bytes, expected: str | None) -> str:
        path = _Files._path(path, "write")
        _Files._no_directory(path)
        if expected is not None and expected != (_Files._revision(host.files[path]) if path in host.files else ""):
            raise Err(Fault_Conflict())
        host.files[path] = bytes(content)
        return _Files._revision(content)

    @staticmethod
    def remove(path: str) -> bool:
        path = _Files._path(path, "write")
        _Files._no_directory(path)
        return host.files.pop(path, None) is not None


class _Secret:
    def __init__(self, value: str) -> None:
        self._value = value

    def token(self) -> str:
        return self._value


class _Secrets:
    @staticmethod
    def open(name: str) -> _Secret:
        if name not in host.secrets:
            raise Err(Fault_Denied(f"bind the secret {name!r}"))
        return _Secret(host.secrets[name])


class _Response:
    def __init__(self, reply: Reply) -> None:
        self._reply, self._at = reply, 0

    def head(self) -> Reply:
        return self._reply

    def read(self, most: int) -> bytes | None:
        piece = self._reply.body[self._at : self._at + most]
        self._at += len(piece)
        return piece or None


class _Http:
    Request = Request

    @staticmethod
    def send(request: Request) -> _Response:
        host.requests.append(request)
        reply = host.replies.get(f"{request.method} {request.url}")
        if reply is None:
            raise Err(HttpFault("denied", f"grant http for {request.url}"))
        if isinstance(reply, HttpFault):
            raise Err(reply)
        return _Response(reply)


STAND_INS: dict[tuple[str, str], Any] = {
    ("host", "log"): _Log,
    ("host", "call"): _HostCall,
    ("kv", "store"): _Kv,
    ("files", "store"): _Files,
    ("secrets", "store"): _Secrets,
    ("http", "client"): _Http,
    ("http", "types"): _Http,
}


def interface(package: str, name: str) -> Any:
    """The stand-in of an interface."""
    return STAND_INS[package, name]


def invoke(name: str, arguments: dict[str, Any] | None = None, *, config: dict[str, Any] | None = None, locale: str | None = None) -> _output.Output:
    """Calls a tool of the module's capability as the host would, and returns its output.

    Raises: `Failure`.
    """
    context = Context("org", "session", "turn", "call", config or {}, locale, {})
    return _call.call(context, name, json.dumps(arguments or {}))


__all__ = ["Failure", "HttpFault", "Reply", "host", "invoke"]
