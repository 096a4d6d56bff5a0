"""`memory://`: a store in this process, bounded by count, bytes and age."""

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
    """Keep the most recently used values of this process, without copying them.

    At most `count` values, of `size` bytes in all (as given to `put`), each for `age` seconds.
    Reading a value counts as use, but doesn't extend its age.

    A re-entrant call in the same thread (from a signal handler, or from the garbage collector when
    it closes an abandoned stream) returns nothing and stores nothing, so it can't deadlock.
    """

    def __init__(self, *, count: int, size: int, age: float) -> None:
        self._count, self._size, self._age = count, size, age
        self._entries: OrderedDict[str, tuple[Any, int, float]] = OrderedDict()
        self._bytes = 0
        self._lock = threading.RLock()
        self._busy = False
        _STORES.add(self)

    def get(self, names: Sequence[str]) -> Mapping[str, Any]:
        """Return the values found, by name."""
        found = {name: self.find(name) for name in names}
        return {name: value for name, value in found.items() if value is not None}

    def find(self, name: str) -> Any:
        """Return one value; None if there is none."""
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
        """Keep a value of `size` bytes, in place of an earlier one; it isn't copied."""
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
        """Delete values."""
        self._forget(lambda: [name for name in names if name in self._entries])

    def forget(self, pattern: str) -> int:
        """Delete every value whose name matches a pattern; return their number."""
        return self._forget(lambda: [name for name in self._entries if fnmatchcase(name, pattern)])

    def _forget(self, choose: Callable[[], list[str]]) -> int:
        with self._lock:
            if self._busy:
                return 0
            self._busy = True
            try:
                deleted = choose()
                for name in deleted:
                    self._drop(name)
            finally:
                self._busy = False
        return len(deleted)

    def _drop(self, name: str) -> None:
        self._bytes -= self._entries.pop(name)[1]


@in_forked_child  # a thread that the child doesn't have may hold the lock
def _reset_locks() -> None:
    for store in list(_STORES):
        store._lock, store._busy = threading.RLock(), False
