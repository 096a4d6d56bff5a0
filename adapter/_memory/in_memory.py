"""`memory://`: what one process remembers, bounded by count, bytes and age."""

from __future__ import annotations

import threading
import time
import weakref
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

from adapter._util.fork import in_forked_child

_STORES: weakref.WeakSet[InMemoryStore] = weakref.WeakSet()


class InMemoryStore:
    """Keep values as they are in this process, the most recently used ones.

    `count` values, `size` bytes (as `put` is told) and `age` seconds at most. What was asked for counts as used, but doesn't grow
    younger.

    A signal's handler, or the garbage collector where it closes a stream that somebody has left, may come back here in the middle of a
    method, in the same thread: then it finds nothing, and what it brings isn't kept. It never waits for itself.
    """

    def __init__(self, *, count: int, size: int, age: float) -> None:
        self._count, self._size, self._age = count, size, age
        self._entries: OrderedDict[str, tuple[Any, int, float]] = OrderedDict()
        self._bytes = 0
        self._lock = threading.RLock()
        self._busy = False
        _STORES.add(self)

    def get(self, names: Sequence[str]) -> Mapping[str, Any]:
        """Return the values that are there."""
        found = {name: self.find(name) for name in names}
        return {name: value for name, value in found.items() if value is not None}

    def find(self, name: str) -> Any:
        """Return one value; None where there is none."""
        with self._lock:
            if self._busy:
                return None
            self._busy = True
            try:
                held = self._entries.get(name)
                if held is None:
                    return None
                if held[2] < time.monotonic():
                    self._drop(name)
                    return None
                self._entries.move_to_end(name)
                return held[0]
            finally:
                self._busy = False

    def put(self, name: str, value: Any, size: int) -> None:
        """Keep a value of so many bytes, in place of an earlier one; it isn't copied."""
        if size > self._size:
            return
        with self._lock:
            if self._busy:
                return
            self._busy = True
            try:
                old = self._entries.pop(name, None)
                self._entries[name] = value, size, time.monotonic() + self._age
                self._bytes += size if old is None else size - old[1]
                while len(self._entries) > self._count or self._bytes > self._size:
                    self._drop(next(iter(self._entries)))
            finally:
                self._busy = False

    def delete(self, names: Sequence[str]) -> None:
        """Forget values."""
        self._forget(lambda: [name for name in names if name in self._entries])

    def forget(self, pattern: str) -> int:
        """Forget every value whose name matches a pattern; return how many there were."""
        return self._forget(lambda: [name for name in self._entries if fnmatchcase(name, pattern)])

    def _forget(self, chosen: Callable[[], list[str]]) -> int:
        with self._lock:
            if self._busy:
                return 0
            self._busy = True
            try:
                gone = chosen()
                for name in gone:
                    self._drop(name)
            finally:
                self._busy = False
        return len(gone)

    def _drop(self, name: str) -> None:
        self._bytes -= self._entries.pop(name)[1]


@in_forked_child  # a thread that the child doesn't have may hold the lock
def _reset_locks() -> None:
    for one in list(_STORES):
        one._lock, one._busy = threading.RLock(), False
