"""Python's `logging` into the component's log."""

from __future__ import annotations

import logging

from . import _host
from ._failure import MAX_STACK_BYTES, limited

host = _host.interface("host", "log")

#: What every record has; anything else came through `extra`.
STANDARD = set(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
MAX_FIELDS = 32


class HostHandler(logging.Handler):
    """Hands each record to the host; what is given by `extra` becomes a field."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            fields = [(key, str(value)) for key, value in vars(record).items() if key not in STANDARD][:MAX_FIELDS]
            if record.exc_info:
                stack = logging.Formatter().formatException(record.exc_info)
                fields.append(("stack", stack[-MAX_STACK_BYTES:]))
            # `everwit_guest` is this package, which speaks for the component itself.
            if record.name not in ("root", "everwit_guest"):
                fields.append(("logger", record.name))
            clean = [(limited(key, 64), limited(value, MAX_STACK_BYTES)) for key, value in fields]
            host.write(level_of(record.levelno), limited(record.getMessage(), 4096), clean)
        except Exception:
            self.handleError(record)


def level_of(number: int) -> object:
    """The contract's level for one of `logging`."""
    levels = host.Level
    for least, level in ((logging.ERROR, levels.ERROR), (logging.WARNING, levels.WARN), (logging.INFO, levels.INFO), (logging.DEBUG, levels.DEBUG)):
        if number >= least:
            return level
    return levels.TRACE


def install() -> None:
    """Makes the root logger write to the host, from level INFO on."""
    root = logging.getLogger()
    if not any(isinstance(handler, HostHandler) for handler in root.handlers):
        root.addHandler(HostHandler())
        root.setLevel(logging.INFO)
