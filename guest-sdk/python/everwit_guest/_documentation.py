"""What a docstring says: the description, and one for each parameter."""

from __future__ import annotations

import inspect
import re

SECTION = re.compile(r"^(Args|Arguments|Parameters|Returns|Raises|Yields|Examples?|Notes?):\s*$")
ENTRY = re.compile(r"^(\s*)\*{0,2}(\w+)(?:\s*\([^)]*\))?:\s*(.*)$")


def split(docstring: str | None) -> tuple[str, dict[str, str]]:
    """Description and parameters of a docstring in Google's style. The sections `Raises` and `Returns` belong to the description
    no more than the parameters do: the model sees the schemas.
    """
    description: list[str] = []
    parameters: dict[str, str] = {}
    section, indent, current = "", None, ""
    for line in inspect.cleandoc(docstring or "").splitlines():
        if heading := SECTION.match(line):
            section, indent, current = heading[1], None, ""
        elif section in ("Example", "Examples", "Note", "Notes", ""):
            description.append(line)
        elif section in ("Args", "Arguments", "Parameters") and line.strip():
            entry = ENTRY.match(line)
            if entry and (indent is None or len(entry[1]) <= indent):
                indent, current = len(entry[1]), entry[2]
                parameters[current] = entry[3].strip()
            elif current:
                parameters[current] = f"{parameters[current]} {line.strip()}".strip()
    return "\n".join(description).strip(), parameters
