"""Running a tool: from arguments as JSON to an output, and from whatever is raised to a failure."""

from __future__ import annotations

import json
from typing import Any

from . import _definition, _failure, _output, _schema
from ._definition import Context
from ._failure import Failure


def call(context: Context, name: str, arguments: str) -> _output.Output:
    """Calls a tool.

    Raises: `Failure`, whatever the tool raises.
    """
    try:
        output = _output.to_output(_run(context, name, arguments))
        # What JSON cannot hold is the tool's mistake, and has to come out here.
        for part in output.parts:
            if isinstance(part, _output.Data):
                _output.to_json(_output.to_plain(part.value))
        return output
    except BaseException as error:
        raise _failure.from_exception(error) from None


def _run(context: Context, name: str, arguments: str) -> Any:
    tools = _definition.definition.tools if _definition.definition else {}
    tool = tools.get(name)
    if tool is None:
        known = ", ".join(tools) or "none"
        raise Failure.not_found(f"there is no tool {name!r}; the tools are: {known}", code="unknown_tool")
    given = json.loads(arguments)
    if not isinstance(given, dict):
        raise Failure.invalid_arguments(f"the arguments of {name!r} must be a JSON object")
    given = _schema.load_object(given, tool.loaders)
    if tool.context is not None:
        given[tool.context] = context
    return tool.run(**given)
