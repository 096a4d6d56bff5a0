"""A circuit breaker for a failing store."""

from __future__ import annotations

import logging
import threading
import time
import weakref

from adapter._util.fork import in_forked_child
from adapter.errors import AdapterError

from .private_files import UnsafeFile

logger = logging.getLogger("adapter")

_BREAKERS: weakref.WeakSet[Trouble] = weakref.WeakSet()


def _said(error: BaseException) -> str:
    """Say what went wrong: messages of others may hold an address with its password, or what was remembered."""
    return f"no answer ({error if isinstance(error, (AdapterError, UnsafeFile)) else type(error).__name__})"


class Trouble:
    """What is known of a store's trouble: whether to leave it alone, and whether to say so again."""

    patience = 3  # failures in a row
    first_rest, longest_rest = 1.0, 30.0  # seconds
    quiet = 60.0  # seconds between warnings

    def __init__(self) -> None:
        self._lock = threading.Lock()
        _BREAKERS.add(self)
        self._failures = 0
        self._rests_until = 0.0
        self._rest = self.first_rest
        self._quiet_until = 0.0
        self._unsaid = 0

    @property
    def resting(self) -> bool:
        """Tell whether the store is left alone for now."""
        return self._rests_until > 0.0 and time.monotonic() < self._rests_until

    def failed(self, error: BaseException) -> None:
        """Take note of a failure."""
        self._failures += 1
        if self._failures >= self.patience:
            self._rests_until = time.monotonic() + self._rest
            self._rest = min(2 * self._rest, self.longest_rest)
        self.warn(_said(error))

    def over(self) -> None:
        """Take note that all is well."""
        if self._failures:
            self._failures, self._rests_until, self._rest = 0, 0.0, self.first_rest

    def warn(self, what: str) -> None:
        """Say so, unless it was said a short while ago."""
        now = time.monotonic()
        if not self._lock.acquire(blocking=False):
            return  # somebody is saying it
        try:
            self._unsaid += 1
            if now < self._quiet_until:
                return
            count, self._unsaid, self._quiet_until = self._unsaid, 0, now + self.quiet
        finally:
            self._lock.release()
        often = f", {count} times" if count > 1 else ""
        logger.warning("memory: %s from the store%s: reasoning isn't carried between some turns", what, often)


@in_forked_child  # a thread that the child doesn't have may hold a lock
def _unlock() -> None:
    for one in list(_BREAKERS):
        one._lock = threading.Lock()
