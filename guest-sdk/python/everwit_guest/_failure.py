"""Expected failures, and how anything raised becomes one."""

from __future__ import annotations

import logging
import traceback

MAX_MESSAGE_BYTES = 4096
MAX_WORD_BYTES = 64
MAX_STACK_BYTES = 2048

logger = logging.getLogger("everwit_guest")


class Failure(Exception):
    """An expected failure of a call: the model sees it as a value, and its turn goes on.

    `kind` is "invalid-arguments", "not-found", "denied", "rate-limited", "upstream", "timeout", "conflict",
    "internal" or another word; `code` is a stable word of your own, by default the kind in snake case.
    """

    def __init__(
        self, kind: str, message: str, *, code: str | None = None, retryable: bool = False, retry_after_ms: int | None = None
    ) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message
        self.code = code if code is not None else kind.replace("-", "_")
        self.retryable = retryable
        self.retry_after_ms = retry_after_ms

    @classmethod
    def invalid_arguments(cls, message: str, *, code: str | None = None) -> Failure:
        """What the caller gave cannot be used; the message says what to give instead."""
        return cls("invalid-arguments", message, code=code)

    @classmethod
    def not_found(cls, message: str, *, code: str | None = None) -> Failure:
        """What was asked for does not exist."""
        return cls("not-found", message, code=code)


def from_exception(error: BaseException) -> Failure:
    """The failure for anything that was raised. What is no `Failure` is a bug: its traceback goes to the log, for the
    author, and its message with the place to the caller.
    """
    if isinstance(error, Failure):
        return error
    message = f"{describe(error)}{place(error)}"
    stack = "".join(traceback.format_exception(type(error), error, error.__traceback__))
    # The end of a traceback says most.
    logger.error("%s", message, extra={"stack": limited(stack[-MAX_STACK_BYTES:], MAX_STACK_BYTES)})
    return Failure("internal", message, code="exception")


def describe(error: BaseException) -> str:
    """Type and text of an exception, even of one whose `__str__` is broken."""
    try:
        text = str(error)
    except Exception:
        text = "(its text cannot be had)"
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def place(error: BaseException) -> str:
    """Where it was raised: the innermost frame that is not this package's."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if "everwit_guest" not in frame.filename.split("/")]
    if not frames:
        return ""
    frame = frames[-1]
    return f" ({frame.filename.rsplit('/', 1)[-1]}:{frame.lineno} in {frame.name})"


def limited(text: str, most: int) -> str:
    """At most `most` bytes of a text as UTF-8, cut between characters. Lone surrogates become U+FFFD."""
    data = text.encode("utf-8", "surrogatepass").decode("utf-8", "replace").encode("utf-8")
    return data[:most].decode("utf-8", "ignore")
