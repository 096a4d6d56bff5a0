"""What a store is: a place for values under names, which may lose them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from adapter._util.worker_threads import WorkerThreads, await_future

THREADS = WorkerThreads(32, "adapter-memory", idle_timeout=5.0)

OPEN_TIMEOUT = 0.5
"""How many seconds are waited for a store that is opened, once, outside of what a call may cost."""

MAX_VALUE = 1024 * 1024
"""How many bytes a value has at most; a store may leave out bigger ones."""

MAX_TOTAL = 16 * 1024 * 1024
"""How many bytes of values a call reads at most."""


class Store(Protocol):
    """Keep values under names: implement the sync methods, and give the object as `Settings(memory=…)`.

    Names are ASCII, at most 100 characters, and begin with `scope:conversation:`; values are bytes, a few kilobytes each and
    at most a megabyte. A store may forget what is old or too much, and may raise anything: a call goes on without what it can't get. Methods are called from
    any thread, several at once. Inherit from this class and the async methods run the sync ones in threads; or write your own.

    `bounded` says that every method returns or raises in time by itself; without it the sync methods run in threads too, which
    are left behind when their time is up.
    """

    bounded: bool = False

    def get(self, names: Sequence[str]) -> Mapping[str, bytes]:
        """Return the values that are there."""
        ...

    def put(self, name: str, value: bytes) -> None:
        """Keep a value, in place of an earlier one; when this returns it must be kept."""
        ...

    def delete(self, names: Sequence[str]) -> None:
        """Forget values."""
        ...

    def forget(self, pattern: str) -> int:
        """Forget every value whose name matches a pattern in which `*` stands for anything; return how many there were."""
        ...

    async def aget(self, names: Sequence[str]) -> Mapping[str, bytes]:
        """Return the values that are there."""
        found: Mapping[str, bytes] = await await_future(THREADS.start(lambda: self.get(names)))
        return found

    async def aput(self, name: str, value: bytes) -> None:
        """Keep a value, in place of an earlier one."""
        await await_future(THREADS.start(lambda: self.put(name, value)))

    async def adelete(self, names: Sequence[str]) -> None:
        """Forget values."""
        await await_future(THREADS.start(lambda: self.delete(names)))

    async def aforget(self, pattern: str) -> int:
        """Forget every value whose name matches a pattern; return how many there were."""
        gone: int = await await_future(THREADS.start(lambda: self.forget(pattern)))
        return gone
