"""What was found out and holds for a while: a bounded set whose members expire. Safe from any thread, and after a fork."""

from __future__ import annotations

import secrets
import threading
import time
import weakref
from hashlib import blake2b

from .fork import in_forked_child

_MOST = 1000
_KEY = secrets.token_bytes(32)
_ALL: weakref.WeakSet[Expiring] = weakref.WeakSet()


class Expiring:
    """Remember things for some seconds each; beyond a thousand the oldest are forgotten.

    They are told by what their `repr` says, of which only a keyed digest is kept: there may be keys in it, of any length.
    """

    def __init__(self) -> None:
        self._until: dict[bytes, float] = {}
        self._lock = threading.RLock()  # a signal's handler may come back in the middle
        _ALL.add(self)

    def remember(self, what: object, seconds: float) -> None:
        """Remember one more."""
        name = _digest(what)
        with self._lock:
            self._until.pop(name, None)
            while len(self._until) >= _MOST:
                self._until.pop(next(iter(self._until)), None)
            self._until[name] = time.monotonic() + seconds

    def __bool__(self) -> bool:
        return bool(self._until)

    def holds(self, what: object) -> bool:
        """Tell whether it was remembered, and not too long ago."""
        until = self._until.get(_digest(what)) if self._until else None
        return until is not None and time.monotonic() < until

    def drop(self, what: object) -> None:
        """Forget one."""
        with self._lock:
            self._until.pop(_digest(what), None)

    def forget(self) -> None:
        """Forget them all."""
        with self._lock:
            self._until.clear()


def _digest(what: object) -> bytes:
    return blake2b(repr(what).encode("utf-8", "backslashreplace"), digest_size=16, key=_KEY).digest()


@in_forked_child  # a thread that the child doesn't have may hold the lock
def _unlock() -> None:
    for one in list(_ALL):
        one._lock = threading.RLock()
