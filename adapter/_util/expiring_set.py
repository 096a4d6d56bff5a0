"""A bounded set whose members expire. Safe to use from any thread, and after a fork."""

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
    """A set of at most 1000 members, each with its own time to live; the oldest is evicted first.

    Members are identified by a keyed digest of their `repr`, which may be long or contain secrets.
    """

    def __init__(self) -> None:
        self._expiry: dict[bytes, float] = {}
        self._lock = threading.RLock()  # a signal handler may re-enter
        _ALL.add(self)

    def add(self, member: object, seconds: float) -> None:
        """Add a member for so many seconds."""
        digest = _digest(member)
        with self._lock:
            self._expiry.pop(digest, None)
            while len(self._expiry) >= _MAX_MEMBERS:
                self._expiry.pop(next(iter(self._expiry)), None)
            self._expiry[digest] = time.monotonic() + seconds

    def __bool__(self) -> bool:
        return bool(self._expiry)

    def contains(self, member: object) -> bool:
        """Return whether the set has this member and it hasn't expired."""
        expiry = self._expiry.get(_digest(member)) if self._expiry else None
        return expiry is not None and time.monotonic() < expiry

    def discard(self, member: object) -> None:
        """Remove a member, if present."""
        with self._lock:
            self._expiry.pop(_digest(member), None)

    def clear(self) -> None:
        """Remove all members."""
        with self._lock:
            self._expiry.clear()


def _digest(member: object) -> bytes:
    return blake2b(
        repr(member).encode("utf-8", "backslashreplace"), digest_size=16, key=_KEY
    ).digest()


@in_forked_child  # the lock may be held by a thread that doesn't exist in the child
def _renew_locks() -> None:
    for one in list(_ALL):
        one._lock = threading.RLock()
