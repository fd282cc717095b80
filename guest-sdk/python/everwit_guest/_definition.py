"""Declaring a capability: the decorators, and the description that comes of them."""

from __future__ import annotations

import dataclasses
import inspect
import typing
from collections.abc import Callable, Iterable
from typing import Any

from . import _documentation, _schema

EFFECTS = ("read-only", "destructive", "idempotent", "open-world")


@dataclasses.dataclass(frozen=True)
class Context:
    """Circumstances of a call. A tool gets it in a parameter of this type, which is no argument of the model's."""

    org: str
    session: str
    turn: str
    #: Same for every execution of the same tool call, also after a crash.
    idempotency_key: str
    #: The agent's configuration of this capability.
    config: dict[str, Any]
    #: BCP 47 tag of the user's language, if known.
    locale: str | None
    extra: dict[str, str]


@dataclasses.dataclass(frozen=True)
class Tool:
    """A function with what its signature and docstring say."""

    name: str
    title: str
    description: str
    effects: frozenset[str]
    input_schema: dict[str, Any]
    output_schema: dict[str, Any] | None
    run: Callable[..., Any]
    context: str | None
    loaders: dict[str, _schema.Loader | None]


@dataclasses.dataclass
class Definition:
    """The capability of this component."""

    about: dict[str, Any]
    tools: dict[str, Tool]


#: What the component offers. A component is one capability, so that one place is enough for it.
definition: Definition | None = None
#: Optional exports: the name of the interface, and the function behind it.
hooks: dict[str, Callable[..., Any]] = {}


def tool(function: Callable[..., Any] | None = None, *, name: str | None = None, title: str | None = None, effects: Iterable[str] = ()) -> Any:
    """Makes a tool of a function: schemas from its hints, descriptions from its docstring.

    `effects` are "read-only", "destructive", "idempotent", "open-world"; a tool without any is taken for one that changes
    things and must not be repeated. The function stays as it is, for tests.
    """

    def declare(function: Callable[..., Any]) -> Callable[..., Any]:
        function.__everwit_tool__ = _declare(function, name, title, frozenset(effects))
        return function

    return declare if function is None else declare(function)


def _declare(function: Callable[..., Any], name: str | None, title: str | None, effects: frozenset[str]) -> Tool:
    name = name or function.__name__
    unknown = effects.difference(EFFECTS)
    if unknown:
        raise ValueError(f"the tool {name!r} has the effects {sorted(unknown)}; there are {', '.join(EFFECTS)}")
    description, documented = _documentation.split(function.__doc__)
    if not description:
        raise ValueError(f"the tool {name!r} has no docstring: say what it does and when to use it, for the model")
    hints = typing.get_type_hints(function, include_extras=True)
    parameters = inspect.signature(function).parameters
    if stray := documented.keys() - parameters.keys():
        raise ValueError(f"the docstring of the tool {name!r} describes {sorted(stray)}, which are no parameters")
    properties, loaders, context = [], {}, None
    for parameter in parameters.values():
        if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
            raise ValueError(f"the tool {name!r} cannot have the parameter {parameter}: a model gives arguments by their names")
        hint = hints.get(parameter.name)
        if hint is Context:
            context = parameter.name
            continue
        if hint is None:
            raise ValueError(f"the parameter {parameter.name!r} of the tool {name!r} has no type: annotate it, {parameter.name}: str")
        schema = _schema.schema_of(hint)
        if parameter.name in documented:
            schema["description"] = documented[parameter.name]
        properties.append((parameter.name, schema, parameter.default is parameter.empty))
        loaders[parameter.name] = _schema.loader_of(hint)
    return Tool(
        name=name,
        title=title or name.replace("_", " ").capitalize(),
        description=description,
        effects=effects,
        input_schema=_schema.object_schema(properties),
        output_schema=_output_schema(hints.get("return")),
        run=function,
        context=context,
        loaders=loaders,
    )


def _output_schema(hint: Any) -> dict[str, Any] | None:
    """The schema of what a tool returns if it promises an object; text and parts have none."""
    if dataclasses.is_dataclass(hint) and hint.__module__ == "everwit_guest._output":
        return None
    if dataclasses.is_dataclass(hint) or typing.is_typeddict(hint):
        return _schema.schema_of(hint)
    return None


def capability(
    *,
    id: str,
    title: str,
    summary: str,
    tools: Iterable[Callable[..., Any]],
    version: str = "0.1.0",
    instructions: str | None = None,
    config: Any = None,
    dependencies: Iterable[str] = (),
    features: Iterable[str] = (),
    http: Iterable[str | dict[str, Any]] = (),
    secrets: Iterable[dict[str, Any]] = (),
    files: str = "none",
    kv: Iterable[str] = (),
) -> None:
    """Declares the capability that this component is.

    `config` is the type of the agent's configuration: a dataclass, a TypedDict or a JSON Schema. `http` names hosts, or has
    objects with `host`, `methods`, `path_prefix` and `reason`; `secrets` has objects with `name`, `title`, `host`,
    `place` and `required`; `kv` names buckets.
    """
    global definition
    if definition is not None:
        raise ValueError("a component is one capability, and capability() was called twice")
    found: dict[str, Tool] = {}
    for function in tools:
        declared = getattr(function, "__everwit_tool__", None)
        if declared is None:
            raise ValueError(f"{function!r} is no tool: put @tool before it")
        if declared.name in found:
            raise ValueError(f"{declared.name!r} is the name of two tools")
        found[declared.name] = declared
    about = {
        "id": id,
        "title": title,
        "version": version,
        "summary": summary,
        "instructions": instructions,
        "config_schema": config if isinstance(config, dict) else {} if config is None else _schema.schema_of(config),
        "dependencies": list(dependencies),
        "features": list(features),
        "permissions": {
            "http": [_http(entry) for entry in http],
            "secrets": [_secret(entry) for entry in secrets],
            "files": files,
            "kv": list(kv),
            "tools": [],
        },
    }
    definition = Definition(about, found)


def _http(entry: str | dict[str, Any]) -> dict[str, Any]:
    entry = {"host": entry} if isinstance(entry, str) else entry
    return _record("http", entry, {"host": None, "methods": [], "path_prefix": None, "reason": ""}, "host")


def _secret(entry: dict[str, Any]) -> dict[str, Any]:
    entry = {"title": entry.get("name", ""), **entry}
    return _record("secrets", entry, {"name": None, "title": "", "host": None, "place": None, "required": False}, "name", "host", "place")


def _record(what: str, entry: dict[str, Any], defaults: dict[str, Any], *required: str) -> dict[str, Any]:
    unknown, absent = entry.keys() - defaults.keys(), [name for name in required if name not in entry]
    if unknown or absent:
        raise ValueError(f"an entry of {what} has the unknown members {sorted(unknown)} and lacks {absent}: it has {', '.join(defaults)}")
    return {name: entry.get(name, default) for name, default in defaults.items()}


def validate_config(function: Callable[[dict[str, Any]], Iterable[str] | None]) -> Any:
    """Makes a function the check of configurations beyond their schema; it returns what is wrong, as sentences."""
    return _hook("config-validation", function)


def dynamic_instructions(function: Callable[[Context], str | None]) -> Any:
    """Makes a function the addition to the prompt that depends on the session."""
    return _hook("dynamic-instructions", function)


def health(function: Callable[[Context], None]) -> Any:
    """Makes a function the answer to whether the capability can work right now; it raises if not."""
    return _hook("health", function)


def _hook(interface: str, function: Callable[..., Any]) -> Callable[..., Any]:
    if interface in hooks:
        raise ValueError(f"{interface} is declared twice")
    hooks[interface] = function
    return function


def description() -> dict[str, Any]:
    """The description of the capability, as the JSON of the custom section: its members in the contract's order."""
    if definition is None:
        raise ValueError("nothing calls capability(): declare id, title, summary and tools at the top level of the module")
    about = definition.about
    described = {key: about[key] for key in ("id", "title", "version", "summary")}
    if about["instructions"] is not None:
        described["instructions"] = about["instructions"]
    described["config_schema"] = _sorted(about["config_schema"])
    described["tools"] = [_described(tool) for tool in definition.tools.values()]
    described["dependencies"], described["features"] = about["dependencies"], about["features"]
    described["permissions"] = dict(about["permissions"])
    described["permissions"]["http"] = [
        {key: value for key, value in entry.items() if key != "path_prefix" or value is not None} for entry in about["permissions"]["http"]
    ]
    return described


def _described(tool: Tool) -> dict[str, Any]:
    described = {"name": tool.name, "title": tool.title, "description": tool.description, "input_schema": _sorted(tool.input_schema)}
    if tool.output_schema is not None:
        described["output_schema"] = _sorted(tool.output_schema)
    described["effects"] = {effect.replace("-", "_"): effect in tool.effects for effect in EFFECTS}
    return described


def _sorted(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _sorted(value[key]) for key in sorted(value)}
    return [_sorted(item) for item in value] if isinstance(value, list) else value
