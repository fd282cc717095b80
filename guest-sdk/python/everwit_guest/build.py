"""`python -m everwit_guest.build`: a project into a component that says in a custom section what it is."""

from __future__ import annotations

import argparse
import importlib
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

if sys.version_info >= (3, 11):
    import tomllib
else:
    tomllib = None

from . import _definition, _host, driver

#: Interfaces of optional exports that `_definition.hooks` can have, with the class that implements each.
HOOKS = {"dynamic-instructions": "DynamicInstructions", "config-validation": "ConfigValidation", "health": "Health"}
ENTRY = "everwit_component"


class BuildError(Exception):
    """Why there is no component."""


def main() -> int:
    """The command; returns its exit code."""
    parser = argparse.ArgumentParser(prog="python -m everwit_guest.build", description=__doc__)
    parser.add_argument("folder", nargs="?", default=".", type=Path, help="folder with pyproject.toml")
    parser.add_argument("--out", type=Path, help="default: dist/<project name>.wasm in that folder")
    options = parser.parse_args()
    try:
        out = build(options.folder.resolve(), options.out)
    except BuildError as error:
        print(f"everwit_guest.build: {error}", file=sys.stderr)
        return 1
    print(f"{out}: {out.stat().st_size // 1024} KiB")
    return 0


def build(folder: Path, out: Path | None = None) -> Path:
    """Builds the project in a folder and returns the component's path."""
    name, module = project(folder)
    out = out or folder / "dist" / f"{name}.wasm"
    sections = {}
    if (description := describe(folder, module)) is not None:
        sections["everwit:description"] = canonical(description)
    if (exchanges := recorded_exchanges(folder)) is not None:
        sections["everwit:exchanges"] = canonical(exchanges)
    with tempfile.TemporaryDirectory(prefix="everwit-guest-") as scratch:
        scratch_folder = Path(scratch)
        write_world(scratch_folder / "wit")
        (scratch_folder / f"{ENTRY}.py").write_text(entry(module), encoding="utf-8")
        component = scratch_folder / "component.wasm"
        componentize(folder, scratch_folder, component)
        out.parent.mkdir(parents=True, exist_ok=True)
        wasm = component.read_bytes()
        for section, data in sections.items():
            wasm = with_section(wasm, section, data)
        out.write_bytes(wasm)
    return out


def project(folder: Path) -> tuple[str, str]:
    """Name and module of a project: `[project] name` and `[tool.everwit] module`, by default the name with `_` for `-`."""
    file = folder / "pyproject.toml"
    if tomllib is None:
        raise BuildError(f"Python 3.11 or newer is needed; this is {sys.version_info.major}.{sys.version_info.minor}")
    try:
        manifest = tomllib.loads(file.read_text(encoding="utf-8"))
        name = manifest["project"]["name"]
    except OSError as error:
        raise BuildError(f"cannot read {file}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, KeyError) as error:
        raise BuildError(f"{file} is no TOML with [project] name: {error}") from None
    module = manifest.get("tool", {}).get("everwit", {}).get("module", name.replace("-", "_"))
    return name, module


def describe(folder: Path, module: str) -> dict | None:
    """The description of the capability: its module is imported here, with a stand-in for the host. A driver's is left to `everwit build`."""
    sys.path.insert(0, str(folder / "src"))
    try:
        importlib.import_module(module)
        if driver.definition is None:
            return _definition.description()
        if _definition.definition is not None:
            raise ValueError("a component is a capability or a driver, and it calls both capability() and driver()")
        if powers := _host.used - {f"everwit:host/log@{_host.VERSION}"}:
            raise ValueError(f"a driver translates and reaches nothing; this one imports {', '.join(sorted(powers))}")
        return None
    except Exception as error:
        from ._failure import describe as told
        from ._failure import place

        raise BuildError(f"src/{module} cannot be loaded: {told(error)}{place(error)}") from error


def recorded_exchanges(folder: Path) -> dict | None:
    """The exchanges of a driver, `exchanges.json` beside `pyproject.toml`, which the host replays at upload."""
    file = folder / "exchanges.json"
    if not file.exists():
        return None
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise BuildError(f"{file} is no JSON: {error}") from None


def exports() -> dict[str, str]:
    """Interfaces that the component exports, with the class that implements each."""
    defined = driver.definition
    if defined is None:
        return {"capability/describe": "Describe", "capability/tools": "Tools"} | {f"capability/{hook}": HOOKS[hook] for hook in sorted(_definition.hooks)}
    found = {"driver/meta": "Meta", "driver/codec": "Codec"}
    if defined.discovery is not None:
        found["driver/discovery"] = "Discovery"
    if defined.token_exchange is not None:
        found["driver/token-exchange"] = "TokenExchange"
    return found


def entry(module: str) -> str:
    """The module that componentize-py takes the exports from."""
    # With full names, componentize-py looks for classes that carry package and version.
    version = _host.VERSION.replace(".", "")
    names = [f"{name} as Everwit{interface.partition('/')[0].capitalize()}{name}{version}" for interface, name in exports().items()]
    source = "component" if driver.definition is None else "driver_component"
    return f"import {module}\nfrom everwit_guest.{source} import {', '.join(names)}\n"


def write_world(folder: Path) -> None:
    """Writes the contracts and a world of only what the code imports and exports: a component imports its whole world, and
    every import is a power that somebody has to grant.
    """
    contracts = contracts_folder()
    shutil.copytree(contracts / "deps", folder / "deps")
    (folder / "deps" / "capability").mkdir()
    shutil.copy(contracts / "capability.wit", folder / "deps" / "capability")
    imports = sorted(_host.used | {f"everwit:host/log@{_host.VERSION}"})
    lines = [f"  import {name};" for name in imports] + [f"  export everwit:{name}@{_host.VERSION};" for name in exports()]
    world = "\n".join(["package everwit-build:component;", "", "world component {", *lines, "}", ""])
    (folder / "component.wit").write_text(world, encoding="utf-8")


def contracts_folder() -> Path:
    """The contracts: in the package when it is installed or vendored, beside the SDKs in the repository."""
    here = Path(__file__).resolve().parent
    for place in (here / "wit", here.parent / "wit", here.parents[2] / "wit"):
        if (place / "capability.wit").is_file():
            return place
    raise BuildError(f"Everwit's WIT files are missing: there is no capability.wit in {here / 'wit'}")


def componentize(folder: Path, scratch: Path, out: Path) -> None:
    """Runs componentize-py, which belongs to this interpreter's environment."""
    program = Path(sysconfig.get_path("scripts")) / "componentize-py"
    if not program.exists():
        found = shutil.which("componentize-py")
        if found is None:
            raise BuildError("componentize-py is missing: pip install -r requirements.txt")
        program = Path(found)
    sdk = Path(__file__).resolve().parent.parent
    # The interpreter's own site packages come with VIRTUAL_ENV, which names nothing of this project if it is somebody else's.
    paths = [scratch, folder / "src", sdk, Path(sysconfig.get_path("purelib"))]
    command = [str(program), "-d", str(scratch / "wit"), "-w", "component", "--full-names", "componentize", ENTRY, "-o", str(out)]
    for path in paths:
        command += ["-p", str(path)]
    done = subprocess.run(command, cwd=scratch, text=True, capture_output=True, env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1"})
    if done.returncode != 0:
        told = (done.stderr or done.stdout).partition("\nStack backtrace:")[0]
        raise BuildError(f"componentize-py failed:\n{told.strip()}")


def canonical(description: dict) -> bytes:
    """JSON without white space, members in the contract's order."""
    return json.dumps(description, ensure_ascii=False, separators=(",", ":")).encode()


def with_section(component: bytes, name: str, data: bytes) -> bytes:
    """Appends a custom section."""
    label = name.encode()
    content = leb128(len(label)) + label + data
    return component + b"\0" + leb128(len(content)) + content


def leb128(value: int) -> bytes:
    """An unsigned number in the encoding of WebAssembly."""
    encoded = bytearray()
    while value >= 0x80:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*encoded, value])


if __name__ == "__main__":
    sys.exit(main())
