"""The call that is running: the time left, whether to stop, progress, partial output."""

from __future__ import annotations

from . import _host, _output
from ._failure import limited

host = _host.interface("host", "call")

MAX_NOTE_BYTES = 1024


class Stopped(Exception):
    """The call should end: "cancelled", or the "deadline" is near."""


def remaining_ms() -> int:
    """Milliseconds of wall-clock time left for this call."""
    return host.remaining_ms()


def stopped() -> str | None:
    """Why to stop, for long loops: "cancelled" or "deadline"; none to go on."""
    reason = host.stopped()
    return None if reason is None else reason.name.lower()


def progress(done: int, total: int | None = None, note: str | None = None) -> None:
    """Reports progress in units of your choice.

    Raises: `Stopped`.
    """
    _checked(lambda: host.progress(done, total, None if note is None else limited(note, MAX_NOTE_BYTES)))


def emit(*parts: str | _output.Part) -> None:
    """Shows partial output at once, in addition to what the tool returns.

    Raises: `Stopped`.
    """
    from . import component

    made = [component._part(_output.Text(part) if isinstance(part, str) else part) for part in parts]
    _checked(lambda: host.emit(made))


def _checked(action: object) -> None:
    try:
        action()
    except Exception as error:
        reason = _host.error_value(error)
        if reason is error:
            raise
        raise Stopped(reason.name.lower()) from None
