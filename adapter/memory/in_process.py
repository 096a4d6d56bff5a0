"""`memory://`: what one process remembers, bounded by count, bytes and age."""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

_ALL: weakref.WeakSet[InProcess] = weakref.WeakSet()


class InProcess:
    """Keep values as they are in this process, the most recently used ones.

    `count` values, `size` bytes (as `put` is told) and `age` seconds at most. What was asked for counts as used, but doesn't grow
    younger.
    """

    def __init__(self, *, count: int, size: int, age: float) -> None:
        self._count, self._size, self._age = count, size, age
        self._held: OrderedDict[str, tuple[Any, int, float]] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()
        _ALL.add(self)

    def get(self, names: Sequence[str]) -> Mapping[str, Any]:
        """Return the values that are there."""
        found = {}
        now = time.monotonic()
        with self._lock:
            for name in names:
                held = self._held.get(name)
                if held is None:
                    continue
                if held[2] < now:
                    self._drop(name)
                    continue
                self._held.move_to_end(name)
                found[name] = held[0]
        return found

    def put(self, name: str, value: Any, size: int) -> None:
        """Keep a value of so many bytes, in place of an earlier one; it isn't copied."""
        if size > self._size:
            return
        with self._lock:
            if name in self._held:
                self._drop(name)
            self._held[name] = value, size, time.monotonic() + self._age
            self._bytes += size
            while len(self._held) > self._count or self._bytes > self._size:
                self._drop(next(iter(self._held)))

    def delete(self, names: Sequence[str]) -> None:
        """Forget values."""
        with self._lock:
            for name in names:
                if name in self._held:
                    self._drop(name)

    def forget(self, pattern: str) -> int:
        """Forget every value whose name matches a pattern; return how many there were."""
        with self._lock:
            gone = [name for name in self._held if fnmatchcase(name, pattern)]
            for name in gone:
                self._drop(name)
        return len(gone)

    def _drop(self, name: str) -> None:
        self._bytes -= self._held.pop(name)[1]


def _unlock() -> None:
    for one in list(_ALL):
        one._lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_unlock)  # a thread that the child doesn't have may hold the lock
