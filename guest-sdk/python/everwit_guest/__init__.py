"""Write Everwit capabilities in Python: a documented, typed function becomes a sandboxed tool."""

from ._definition import Context, capability, dynamic_instructions, health, tool, validate_config
from ._failure import Failure
from ._output import Blob, Data, Link, Output, Text

__all__ = [
    "Blob",
    "Context",
    "Data",
    "Failure",
    "Link",
    "Output",
    "Text",
    "capability",
    "dynamic_instructions",
    "health",
    "tool",
    "validate_config",
]

__version__ = "0.1.0"
