"""A circuit breaker for a failing store, with rate-limited warnings."""

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


def error_text(error: BaseException) -> str:
    """Describe an error by its class.

    Only our own errors are quoted: the text of another one may hold an address with its password,
    or the stored value.
    """
    own = isinstance(error, (AdapterError, UnsafeFile))
    return f"no answer ({error if own else type(error).__name__})"


class CircuitBreaker:
    """Count a store's failures: decide whether to skip the store, and whether to warn again."""

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
        """Whether the store isn't asked for now."""
        return self._open_until > 0.0 and time.monotonic() < self._open_until

    def record_failure(self, error: BaseException) -> None:
        """Count a failure, warn of it, and open the circuit after several in a row."""
        self._failures += 1
        if self._failures >= self.threshold:
            self._open_until = time.monotonic() + self._cooldown
            self._cooldown = min(2 * self._cooldown, self.max_cooldown)
        self.warn(error_text(error))

    def record_success(self) -> None:
        """Close the circuit."""
        if self._failures:
            self._failures, self._open_until, self._cooldown = 0, 0.0, self.first_cooldown

    def warn(self, what: str) -> None:
        """Log a warning, at most one per `warning_interval`, with the number of those skipped."""
        now = time.monotonic()
        if not self._lock.acquire(blocking=False):
            return  # another thread logs it
        try:
            self._unreported += 1
            if now < self._silent_until:
                return
            count, self._unreported = self._unreported, 0
            self._silent_until = now + self.warning_interval
        finally:
            self._lock.release()
        times = f", {count} times" if count > 1 else ""
        logger.warning(
            "memory: %s from the store%s: reasoning isn't carried between some turns", what, times
        )


@in_forked_child  # a thread that the child doesn't have may hold a lock
def _reset_locks() -> None:
    for breaker in list(_BREAKERS):
        breaker._lock = threading.Lock()
