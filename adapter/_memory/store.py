"""The protocol of a store: values under names, which it may lose."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from adapter._util.worker_threads import WorkerThreads, await_future

THREADS = WorkerThreads(32, "adapter-memory", idle_timeout=5.0)

OPEN_TIMEOUT = 0.5
"""Seconds to wait for a store to open, once in each process, beside a call's own timeout."""

MAX_VALUE = 1024 * 1024
"""The largest value, in bytes; a store may skip larger ones."""

MAX_TOTAL = 16 * 1024 * 1024
"""The most bytes of values that one call reads."""


class Store(Protocol):
    """Keep values under names: implement the sync methods, and pass it as `Settings(memory=…)`.

    Names are ASCII, at most 100 characters, and begin with `scope:conversation:`; values are bytes,
    a few kilobytes each and at most a megabyte. A store may drop values that are old or too many,
    and may raise anything: the call continues without them. Methods are called from any thread,
    several at once. In a subclass the async methods run the sync ones in threads, unless it
    overrides them.

    `bounded` says that every method returns or raises in time by itself. Without it the sync
    methods run in threads too, which are abandoned when their time is up.
    """

    bounded: bool = False

    def get(self, names: Sequence[str]) -> Mapping[str, bytes]:
        """Return the values found, by name."""
        ...

    def put(self, name: str, value: bytes) -> None:
        """Keep a value, in place of an earlier one; it must be stored when this returns."""
        ...

    def delete(self, names: Sequence[str]) -> None:
        """Delete values."""
        ...

    def forget(self, pattern: str) -> int:
        """Delete every value whose name matches a pattern; return their number.

        In the pattern `*` stands for any characters.
        """
        ...

    async def aget(self, names: Sequence[str]) -> Mapping[str, bytes]:
        """Return the values found, by name."""
        found: Mapping[str, bytes] = await await_future(THREADS.start(lambda: self.get(names)))
        return found

    async def aput(self, name: str, value: bytes) -> None:
        """Keep a value, in place of an earlier one."""
        await await_future(THREADS.start(lambda: self.put(name, value)))

    async def adelete(self, names: Sequence[str]) -> None:
        """Delete values."""
        await await_future(THREADS.start(lambda: self.delete(names)))

    async def aforget(self, pattern: str) -> int:
        """Delete every value whose name matches a pattern; return their number."""
        deleted: int = await await_future(THREADS.start(lambda: self.forget(pattern)))
        return deleted
