"""What was found out and holds for a while: a bounded set whose members expire. Safe from any thread, and after a fork."""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections.abc import Hashable

_MOST = 1000
_ALL: weakref.WeakSet[Expiring] = weakref.WeakSet()


class Expiring:
    """Remember things for some seconds each; beyond a thousand the oldest are forgotten."""

    def __init__(self) -> None:
        self._until: dict[Hashable, float] = {}
        self._lock = threading.RLock()  # a signal's handler may come back in the middle
        _ALL.add(self)

    def remember(self, what: Hashable, seconds: float) -> None:
        """Remember one more."""
        with self._lock:
            self._until.pop(what, None)
            while len(self._until) >= _MOST:
                self._until.pop(next(iter(self._until)), None)
            self._until[what] = time.monotonic() + seconds

    def __bool__(self) -> bool:
        return bool(self._until)

    def holds(self, what: Hashable) -> bool:
        """Tell whether it was remembered, and not too long ago."""
        until = self._until.get(what) if self._until else None
        return until is not None and time.monotonic() < until

    def forget(self) -> None:
        """Forget them all."""
        with self._lock:
            self._until.clear()


def _unlock() -> None:
    for one in list(_ALL):
        one._lock = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_unlock)  # a thread that the child doesn't have may hold the lock
