"""What tools return."""

from __future__ import annotations

import dataclasses
import datetime
import enum
import json
from collections.abc import Mapping
from typing import Any, Union


@dataclasses.dataclass(frozen=True)
class Text:
    """A piece of text."""

    text: str


@dataclasses.dataclass(frozen=True)
class Data:
    """A JSON value."""

    value: Any


@dataclasses.dataclass(frozen=True)
class Blob:
    """Bytes with their IANA media type, for example "image/png"."""

    media_type: str
    data: bytes


@dataclasses.dataclass(frozen=True)
class Link:
    """Something that the receiver may fetch itself."""

    uri: str
    name: str
    media_type: str | None = None


Part = Union[Text, Data, Blob, Link]


@dataclasses.dataclass(frozen=True)
class Output:
    """A result of more than one value: what the model sees, and the same for programs."""

    parts: list[Part]
    structured: Any = None


def to_output(value: Any) -> Output:
    """The output of a tool from what it returned."""
    if isinstance(value, Output):
        return value
    if isinstance(value, str):
        return Output([Text(value)])
    if isinstance(value, (Text, Data, Blob, Link)):
        return Output([value])
    plain = to_plain(value)
    return Output([Data(plain)], plain)


def to_plain(value: Any) -> Any:
    """A value made of what JSON has: dataclasses become objects, enumerations their values, dates ISO 8601."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: to_plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, enum.Enum):
        return to_plain(value.value)
    if isinstance(value, (datetime.date, datetime.time)):
        return value.isoformat()
    if isinstance(value, Mapping):
        return {str(to_plain(key)): to_plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [to_plain(item) for item in value]
    return value


def to_json(value: Any) -> str:
    """JSON text of a plain value.

    Raises: `TypeError` for what JSON cannot hold, `ValueError` for numbers that are none.
    """
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
