"""What exports raise. Only a built component imports this."""

from __future__ import annotations

from componentize_py_types import Err

from . import _failure, _host
from ._failure import Failure, limited

common = _host.bindings("types", "common")


def err(error: BaseException) -> Err:
    """The contract's failure for anything that was raised."""
    failure: Failure = _failure.from_exception(error)
    return Err(
        common.Failure(
            kind=limited(failure.kind, _failure.MAX_WORD_BYTES),
            code=limited(failure.code, _failure.MAX_WORD_BYTES),
            message=limited(failure.message, _failure.MAX_MESSAGE_BYTES),
            retryable=failure.retryable,
            retry_after_ms=failure.retry_after_ms,
            extra=[],
        )
    )
