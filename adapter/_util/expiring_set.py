"""What was found out and holds for a while: a bounded set whose members expire. Safe from any thread, and after a fork."""

from __future__ import annotations

import secrets
import threading
import time
import weakref
from hashlib import blake2b

from .fork import in_forked_child

_MAX_MEMBERS = 1000
_KEY = secrets.token_bytes(32)
_ALL: weakref.WeakSet[ExpiringSet] = weakref.WeakSet()


class ExpiringSet:
    """Remember things for some seconds each; beyond a thousand the oldest are forgotten.

    They are told by what their `repr` says, of which only a keyed digest is kept: there may be keys in it, of any length.
    """

    def __init__(self) -> None:
        self._expiry: dict[bytes, float] = {}
        self._lock = threading.RLock()  # a signal's handler may come back in the middle
        _ALL.add(self)

    def add(self, member: object, seconds: float) -> None:
        """Remember one more."""
        name = _digest(member)
        with self._lock:
            self._expiry.pop(name, None)
            while len(self._expiry) >= _MAX_MEMBERS:
                self._expiry.pop(next(iter(self._expiry)), None)
            self._expiry[name] = time.monotonic() + seconds

    def __bool__(self) -> bool:
        return bool(self._expiry)

    def contains(self, member: object) -> bool:
        """Tell whether it was remembered, and not too long ago."""
        until = self._expiry.get(_digest(member)) if self._expiry else None
        return until is not None and time.monotonic() < until

    def discard(self, member: object) -> None:
        """Forget one."""
        with self._lock:
            self._expiry.pop(_digest(member), None)

    def clear(self) -> None:
        """Forget them all."""
        with self._lock:
            self._expiry.clear()


def _digest(member: object) -> bytes:
    return blake2b(
        repr(member).encode("utf-8", "backslashreplace"), digest_size=16, key=_KEY
    ).digest()


@in_forked_child  # a thread that the child doesn't have may hold the lock
def _renew_locks() -> None:
    for one in list(_ALL):
        one._lock = threading.RLock()
