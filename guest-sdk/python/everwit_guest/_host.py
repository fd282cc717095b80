"""The host's interfaces: the bindings that componentize-py makes, or their stand-ins where there is no host."""

from __future__ import annotations

import importlib
from typing import Any

VERSION = "1.0.0"
SUFFIX = VERSION.replace(".", "_")

#: Interfaces that some module of this package has asked for: what a component that imports those modules imports.
used: set[str] = set()


def interface(package: str, name: str) -> Any:
    """The module of one imported interface."""
    used.add(f"everwit:{package}/{name}@{VERSION}")
    return bindings(package, name)


def bindings(package: str, name: str, kind: str = "imports") -> Any:
    """The module that holds the types and functions of an interface."""
    module = f"everwit_{package}_{name.replace('-', '_')}_{SUFFIX}"
    try:
        return importlib.import_module(f"wit_world.{kind}.{module}")
    except ModuleNotFoundError:
        from . import testing

        return testing.interface(package, name)


def error_value(error: BaseException) -> Any:
    """What a host function that fails has raised: the contract's value inside of componentize-py's `Err`."""
    return getattr(error, "value", error)
