"""The exports of a component, for componentize-py. Only a built component imports this."""

from __future__ import annotations

import json
from typing import Any

from componentize_py_types import Err

from . import _call, _definition, _failure, _host, _log, _output
from ._failed import err

content = _host.bindings("types", "content")
types = _host.bindings("types", "tools")
permissions = _host.bindings("types", "permissions")
describing = _host.bindings("capability", "describe", "exports")

_log.install()


class Describe:
    """`everwit:capability/describe`."""

    def describe(self) -> Any:
        about = _definition.description()
        asked = about["permissions"]
        return describing.Description(
            id=about["id"],
            title=about["title"],
            version=about["version"],
            summary=about["summary"],
            instructions=about.get("instructions"),
            config_schema=_output.to_json(about["config_schema"]),
            tools=[_tool(tool) for tool in about["tools"]],
            dependencies=about["dependencies"],
            features=about["features"],
            permissions=permissions.Permissions(
                http=[
                    permissions.HttpPermission(entry["host"], entry["methods"], entry.get("path_prefix"), entry["reason"])
                    for entry in asked["http"]
                ],
                secrets=[permissions.SecretPermission(**entry) for entry in asked["secrets"]],
                files=asked["files"],
                kv=asked["kv"],
                tools=asked["tools"],
                extra=[],
            ),
            extra=[],
        )


def _tool(tool: dict[str, Any]) -> Any:
    effects = types.Effects(0)
    for name, declared in tool["effects"].items():
        if declared:
            effects |= types.Effects[name.upper()]
    output = tool.get("output_schema")
    return types.Tool(
        name=tool["name"],
        title=tool["title"],
        description=tool["description"],
        input_schema=_output.to_json(tool["input_schema"]),
        output_schema=None if output is None else _output.to_json(output),
        effects=effects,
        extra=[],
    )


class Tools:
    """`everwit:capability/tools`."""

    def call(self, context: Any, name: str, arguments: str) -> Any:
        try:
            output = _call.call(_context(context), name, arguments)
            structured = None if output.structured is None else _output.to_json(_output.to_plain(output.structured))
            return types.CallOutput(parts=[_part(part) for part in output.parts], structured=structured, extra=[])
        except BaseException as error:
            raise err(error) from None


class DynamicInstructions:
    """`everwit:capability/dynamic-instructions`."""

    def instructions(self, context: Any) -> str | None:
        try:
            return _definition.hooks["dynamic-instructions"](_context(context))
        except BaseException as error:
            # This export has no error case; no contribution is better than a trap.
            _failure.from_exception(error)
            return None


class ConfigValidation:
    """`everwit:capability/config-validation`."""

    def validate(self, config: str) -> None:
        try:
            problems = list(_definition.hooks["config-validation"](json.loads(config)) or [])
        except BaseException as error:
            problems = [_failure.from_exception(error).message]
        if problems:
            raise Err([str(problem) for problem in problems])


class Health:
    """`everwit:capability/health`."""

    def check(self, context: Any) -> None:
        try:
            _definition.hooks["health"](_context(context))
        except BaseException as error:
            raise err(error) from None


def _context(record: Any) -> _definition.Context:
    return _definition.Context(
        org=record.org,
        session=record.session,
        turn=record.turn,
        idempotency_key=record.idempotency_key,
        config=json.loads(record.config or "{}"),
        locale=record.locale,
        extra=dict(record.extra),
    )


def _part(part: _output.Part) -> Any:
    if isinstance(part, _output.Text):
        return content.Part_Text(part.text)
    if isinstance(part, _output.Data):
        return content.Part_Data(_output.to_json(_output.to_plain(part.value)))
    if isinstance(part, _output.Blob):
        return content.Part_Blob(content.Blob(part.media_type, bytes(part.data)))
    return content.Part_Link(content.Link(part.uri, part.name, part.media_type))
