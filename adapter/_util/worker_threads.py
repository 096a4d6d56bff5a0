"""Threads that other people's code may block: work in bounded time, for sync and async callers.

What doesn't come back in time is left behind in its thread; a few stuck ones, and nothing new is started.
"""

from __future__ import annotations

import asyncio
import contextvars
import threading
import weakref
from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from typing import Any

from .fork import in_forked_child

_ALL: weakref.WeakSet[WorkerThreads] = weakref.WeakSet()


class WorkerThreads:
    """Threads that work may block: some at once; more work waits for its turn, as long as its askers do.

    Not an executor's: those are joined when the interpreter ends, however long they are stuck. A thread without work waits for
    more of it for `linger` seconds, and ends.
    """

    def __init__(self, max_workers: int, name: str, *, idle_timeout: float = 0.0) -> None:
        self._max_workers, self._name, self._idle_timeout = max_workers, name, idle_timeout
        self.reset()
        _ALL.add(self)

    def reset(self) -> None:
        """Begin anew: a forked process has none of its parent's threads."""
        self._lock = (
            threading.Condition()
        )  # a signal's handler, or the garbage collector, may come back in the middle
        self._idle = 0
        self._running: set[Future[Any]] = set()
        self._waiting: dict[Future[Any], Callable[[], Any]] = {}

    def start(self, work: Callable[[], Any]) -> Future[Any]:
        """Run in a thread, in this context: others' code looks into it. Whoever stops waiting cancels the future.

        Raises TimeoutError when nobody waits any more for what all the threads are doing: it is stuck.
        """
        future: Future[Any] = Future()
        context = contextvars.copy_context()
        with self._lock:
            fresh = False
            if self._idle > len(self._waiting):
                self._waiting[future] = lambda: context.run(work)
                self._lock.notify()
            elif len(self._running) < self._max_workers:
                self._running.add(future)
                fresh = True
            elif all(one.cancelled() for one in self._running):
                raise TimeoutError("all threads are stuck")
            else:
                self._waiting[future] = lambda: context.run(work)
        if not fresh:
            future.add_done_callback(lambda done: self._waiting.pop(done, None))
            return future
        try:
            run = self._run
            threading.Thread(
                target=run, args=(future, lambda: context.run(work)), name=self._name, daemon=True
            ).start()
        except RuntimeError:  # the system has no more threads
            self._running.discard(future)
            raise
        return future

    def _run(self, future: Future[Any] | None, work: Callable[[], Any]) -> None:
        while future is not None:
            try:
                result = work()
            except BaseException as error:  # noqa: BLE001  # it is the asker's
                # A provider that would end its thread, or the program, doesn't end the call.
                its = error if isinstance(error, Exception) else RuntimeError(type(error).__name__)
                with suppress(InvalidStateError):  # nobody waits any more
                    future.set_exception(its)
            else:
                with suppress(InvalidStateError):
                    future.set_result(result)
            future, work = self._next(future)

    def _next(self, done: Future[Any]) -> tuple[Future[Any] | None, Callable[[], Any]]:
        with self._lock:
            self._running.discard(done)
            woken = self._idle_timeout > 0
            while True:
                for future in list(self._waiting):
                    work = self._waiting.pop(future, None)
                    if work is not None and not future.cancelled():
                        self._running.add(future)
                        return future, work
                if not woken:
                    return None, lambda: None
                self._idle += 1
                woken = self._lock.wait(self._idle_timeout)
                self._idle -= 1


async def await_future(future: Future[Any]) -> Any:
    """Wait for what runs in a thread, in any event loop; a cancelled task cancels it."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        import anyio

        try:
            while not future.done():  # noqa: ASYNC110  # what runs in the thread knows of no event loop
                await anyio.sleep(0.001)
        finally:
            future.cancel()
        return future.result()
    return await asyncio.wrap_future(future)


@in_forked_child
def _reset_all() -> None:
    for one in list(_ALL):
        one.reset()
