"""JSON Schemas from type hints, and values of those types from JSON."""

from __future__ import annotations

import dataclasses
import datetime
import enum
import types
import typing
from collections.abc import Callable
from typing import Any, Literal, Union

from ._failure import Failure

SCALARS: dict[Any, dict[str, Any]] = {
    str: {"type": "string"},
    bool: {"type": "boolean"},
    int: {"type": "integer"},
    float: {"type": "number"},
    type(None): {"type": "null"},
    datetime.date: {"type": "string", "format": "date"},
    datetime.datetime: {"type": "string", "format": "date-time"},
}


def schema_of(hint: Any) -> dict[str, Any]:
    """The JSON Schema (2020-12) of a type hint.

    Raises: `TypeError` for a type that JSON has no form for.
    """
    if hint in (Any, typing.Any, object):
        return {}
    if isinstance(hint, type) and hint in SCALARS:
        return dict(SCALARS[hint])
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Annotated:
        return _annotated(arguments[0], arguments[1:])
    if origin is Literal:
        return {"enum": list(arguments)}
    if origin in (Union, types.UnionType):
        return _union(arguments)
    if hint in (list, set, tuple) or origin in (list, set, frozenset):
        return {"type": "array", "items": schema_of(arguments[0])} if arguments else {"type": "array"}
    if origin is tuple:
        return _tuple(arguments)
    if hint is dict or origin is dict:
        return {"type": "object", "additionalProperties": schema_of(arguments[1])} if arguments else {"type": "object"}
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        return {"enum": [member.value for member in hint]}
    if dataclasses.is_dataclass(hint):
        return _object(hint, _fields(hint))
    if typing.is_typeddict(hint):
        return _object(hint, [(name, kind, name in hint.__required_keys__) for name, kind in _hints(hint).items()])
    raise TypeError(f"{hint!r} has no form in JSON: use str, int, float, bool, list, dict, Literal, Enum, a dataclass or a TypedDict")


def _hints(owner: Any) -> dict[str, Any]:
    return typing.get_type_hints(owner, include_extras=True)


def _fields(hint: Any) -> list[tuple[str, Any, bool]]:
    hints = _hints(hint)
    absent = dataclasses.MISSING
    return [(field.name, hints[field.name], field.default is absent and field.default_factory is absent) for field in dataclasses.fields(hint)]


def _object(hint: Any, fields: list[tuple[str, Any, bool]]) -> dict[str, Any]:
    schema = object_schema([(name, schema_of(kind), required) for name, kind, required in fields])
    # A dataclass without documentation gets its signature for one.
    about = hint.__doc__
    if about and not about.startswith(f"{hint.__name__}(") and about != dict.__doc__:
        schema["description"] = " ".join(about.split())
    return schema


def object_schema(properties: list[tuple[str, dict[str, Any], bool]]) -> dict[str, Any]:
    """The schema of an object from names, schemas and whether each is required. Nothing else is allowed in it."""
    schema: dict[str, Any] = {"type": "object", "properties": {name: kind for name, kind, _ in properties}}
    required = [name for name, _, required in properties if required]
    if required:
        schema["required"] = required
    schema["additionalProperties"] = False
    return schema


def _annotated(hint: Any, notes: tuple[Any, ...]) -> dict[str, Any]:
    schema = schema_of(hint)
    for note in notes:
        if isinstance(note, str):
            schema["description"] = note
        elif isinstance(note, dict):
            schema.update(note)
    return schema


def _union(arguments: tuple[Any, ...]) -> dict[str, Any]:
    schemas = [schema_of(argument) for argument in arguments]
    if all(set(schema) == {"type"} and isinstance(schema["type"], str) for schema in schemas):
        return {"type": [schema["type"] for schema in schemas]}
    return {"anyOf": schemas}


def _tuple(arguments: tuple[Any, ...]) -> dict[str, Any]:
    if len(arguments) == 2 and arguments[1] is Ellipsis:
        return {"type": "array", "items": schema_of(arguments[0])}
    items = [schema_of(argument) for argument in arguments]
    return {"type": "array", "prefixItems": items, "minItems": len(items), "maxItems": len(items)}


Loader = Callable[[Any], Any]


def loader_of(hint: Any) -> Loader | None:
    """What makes a value of a type from JSON that matches its schema; none if JSON's own value is one already."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Annotated:
        return loader_of(arguments[0])
    if hint is float:
        return float
    if hint in (datetime.date, datetime.datetime):
        return lambda text: _date(hint, text)
    if origin in (Union, types.UnionType):
        return _union_loader(arguments)
    if hint in (set, tuple) or origin in (list, set, frozenset, tuple):
        return _sequence_loader(hint, origin, arguments)
    if origin is dict and (item := loader_of(arguments[1])):
        return lambda value: {key: item(found) for key, found in value.items()}
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        return hint
    if dataclasses.is_dataclass(hint):
        loaders = {name: loader_of(kind) for name, kind, _ in _fields(hint)}
        return lambda value: hint(**load_object(value, loaders))
    if typing.is_typeddict(hint):
        loaders = {name: loader_of(kind) for name, kind in _hints(hint).items()}
        return lambda value: load_object(value, loaders)
    return None


def load_object(value: dict[str, Any], loaders: dict[str, Loader | None]) -> dict[str, Any]:
    """The members of an object, each through its loader."""
    return {name: load(found) if (load := loaders.get(name)) else found for name, found in value.items()}


def _date(hint: Any, text: str) -> Any:
    try:
        # Pythons before 3.11 do not know the letter.
        return hint.fromisoformat(text[:-1] + "+00:00" if hint is datetime.datetime and text.endswith("Z") else text)
    except ValueError as error:
        raise Failure.invalid_arguments(f"{text!r} is no date: {error}", code="invalid_date") from None


def _union_loader(arguments: tuple[Any, ...]) -> Loader | None:
    """One type beside `None` is loaded; of several, the schema has said that one fits, and JSON's own value is given."""
    others = [argument for argument in arguments if argument is not type(None)]
    load = loader_of(others[0]) if len(others) == 1 else None
    return (lambda value: None if value is None else load(value)) if load else None


def _sequence_loader(hint: Any, origin: Any, arguments: tuple[Any, ...]) -> Loader | None:
    kind = origin or hint
    if kind is tuple and arguments and arguments[-1] is not Ellipsis:
        loaders = [loader_of(argument) for argument in arguments]
        return lambda value: tuple(load(item) if load else item for load, item in zip(loaders, value))
    item = loader_of(arguments[0]) if arguments else None
    if kind is list and item is None:
        return None
    return lambda value: kind(item(found) for found in value) if item else kind(value)
