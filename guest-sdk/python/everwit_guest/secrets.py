"""Secrets as handles: they can be used, not read. Needs `secrets=[…]` in `capability()`."""

from __future__ import annotations

from . import _host
from ._failure import Failure

host = _host.interface("secrets", "store")


def token(name: str) -> str:
    """A placeholder, valid for this call: put it where the grant says, and the host replaces it on the way out.

    Raises: `Failure` of kind "denied" if nothing is bound to the name.
    """
    try:
        return host.open(name).token()
    except Exception as error:
        absent = _host.error_value(error)
        if absent is error:
            raise
        raise Failure("denied", str(getattr(absent, "value", absent)), code="secret_unavailable") from None
