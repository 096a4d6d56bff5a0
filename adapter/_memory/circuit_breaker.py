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

_BREAKERS: weakref.WeakSet[CircuitBreaker] = weakref.WeakSet()


def _error_text(error: BaseException) -> str:
    """Say what went wrong: messages of others may hold an address with its password, or what was remembered."""
    return f"no answer ({error if isinstance(error, (AdapterError, UnsafeFile)) else type(error).__name__})"


class CircuitBreaker:
    """What is known of a store's trouble: whether to leave it alone, and whether to say so again."""

    threshold = 3  # failures in a row
    first_cooldown, max_cooldown = 1.0, 30.0  # seconds
    warning_interval = 60.0  # seconds between warnings

    def __init__(self) -> None:
        self._lock = threading.Lock()
        _BREAKERS.add(self)
        self._failures = 0
        self._open_until = 0.0
        self._cooldown = self.first_cooldown
        self._silent_until = 0.0
        self._unreported = 0

    @property
    def is_open(self) -> bool:
        """Tell whether the store is left alone for now."""
        return self._open_until > 0.0 and time.monotonic() < self._open_until

    def record_failure(self, error: BaseException) -> None:
        """Take note of a failure."""
        self._failures += 1
        if self._failures >= self.threshold:
            self._open_until = time.monotonic() + self._cooldown
            self._cooldown = min(2 * self._cooldown, self.max_cooldown)
        self.warn(_error_text(error))

    def record_success(self) -> None:
        """Take note that all is well."""
        if self._failures:
            self._failures, self._open_until, self._cooldown = 0, 0.0, self.first_cooldown

    def warn(self, what: str) -> None:
        """Say so, unless it was said a short while ago."""
        now = time.monotonic()
        if not self._lock.acquire(blocking=False):
            return  # somebody is saying it
        try:
            self._unreported += 1
            if now < self._silent_until:
                return
            count, self._unreported, self._silent_until = (
                self._unreported,
                0,
                now + self.warning_interval,
            )
        finally:
            self._lock.release()
        often = f", {count} times" if count > 1 else ""
        logger.warning(
            "memory: %s from the store%s: reasoning isn't carried between some turns", what, often
        )


@in_forked_child  # a thread that the child doesn't have may hold a lock
def _unlock() -> None:
    for one in list(_BREAKERS):
        one._lock = threading.Lock()
