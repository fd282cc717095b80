"""What `everwit conformance` asks for, as an author writes it in Python."""

import logging
import os
import random
import sys
import time
from typing import Any

from everwit_guest import Failure, call, capability, files, http, kv, tool


@tool(effects=["read-only"])
def echo(value: Any) -> dict[str, Any]:
    """Returns its argument."""
    return {"value": value}


@tool
def measure(text: str) -> dict[str, int]:
    """Measures a text."""
    return {"bytes": len(text.encode())}


@tool
def repeat(bytes: int) -> str:
    """Returns a long text."""
    return "x" * bytes


@tool
def fail() -> None:
    """Fails as expected."""
    raise Failure("not-found", "there is no such thing", code="no_such_thing", retryable=True, retry_after_ms=1500)


@tool
def crash() -> None:
    """Fails as nobody expects."""
    raise ValueError("on purpose")


@tool
def spin() -> None:
    """Never ends."""
    while True:
        pass


@tool
def wait() -> str:
    """Waits until it should stop."""
    try:
        while (reason := call.stopped()) is None:
            call.progress(1, 3, "waiting")
        return reason
    except call.Stopped as stopped:
        return str(stopped)


@tool
def stream() -> str:
    """Says two things, one at once."""
    call.emit("one")
    return "two"


@tool
def remember(value: Any) -> dict[str, Any]:
    """Remembers a value, and returns the one before."""
    notes = kv.Bucket("notes")
    before = notes.get_json("last")
    notes.put_json("last", value)
    return {"before": before}


@tool(effects=["destructive"])
def note(text: str) -> dict[str, Any]:
    """Notes a text in a file, and returns the one before."""
    path = "/notes/last.txt"
    before = files.read_text(path) if files.stat(path) else None
    files.write(path, text)
    return {"before": before}


@tool
def fetch(path: str) -> dict[str, Any]:
    """Fetches a page."""
    answer = http.get(f"http://conformance.test{path}")
    return {"status": answer.status, "body": answer.text()}


@tool
def environment(names: list[str]) -> dict[str, Any]:
    """Looks for variables and arguments."""
    return {"found": [name for name in names if name in os.environ] + list(os.environ), "arguments": len([word for word in sys.argv if word])}


@tool
def chance() -> dict[str, float]:
    """Draws a number and tells the time."""
    return {"number": random.random(), "now_ms": time.time() * 1000}


@tool
def log() -> str:
    """Logs a warning."""
    logging.warning("a warning")
    return "logged"


capability(
    id="conformance-python",
    title="Conformance",
    summary="Does what a conformance check asks for.",
    tools=[echo, measure, repeat, fail, crash, spin, wait, stream, remember, note, fetch, environment, chance, log],
    http=[{"host": "conformance.test:80", "reason": "The check's own server"}],
    kv=["notes"],
    files="write",
)
