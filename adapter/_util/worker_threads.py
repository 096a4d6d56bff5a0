"""Run code that may hang (stores, flag providers) in threads, for sync and async callers.

Work that doesn't return in time is abandoned in its thread; when all threads are blocked, no more
work is started.
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
    """A bounded pool of daemon threads for work that may hang.

    Extra work queues until its future is cancelled. It is not an executor: the threads of those are
    joined when the interpreter exits, even if they are blocked. An idle thread ends after
    `idle_timeout` seconds.
    """

    def __init__(self, max_workers: int, name: str, *, idle_timeout: float = 0.0) -> None:
        self._max_workers, self._name, self._idle_timeout = max_workers, name, idle_timeout
        self.reset()
        _ALL.add(self)

    def reset(self) -> None:
        """Reset after a fork: the child process has none of these threads."""
        # Re-entrant: a signal handler or the garbage collector may call again.
        self._lock = threading.Condition()
        self._idle = 0
        self._running: set[Future[Any]] = set()
        self._waiting: dict[Future[Any], Callable[[], Any]] = {}

    def start(self, work: Callable[[], Any]) -> Future[Any]:
        """Run `work` in a thread, with the caller's context variables.

        A caller that stops waiting cancels the future. Raises TimeoutError if all threads are busy
        with work whose future is cancelled.
        """
        future: Future[Any] = Future()
        context = contextvars.copy_context()
        with self._lock:
            starts_thread = False
            if self._idle > len(self._waiting):
                self._waiting[future] = lambda: context.run(work)
                self._lock.notify()
            elif len(self._running) < self._max_workers:
                self._running.add(future)
                starts_thread = True
            elif all(one.cancelled() for one in self._running):
                raise TimeoutError("all worker threads are blocked")
            else:
                self._waiting[future] = lambda: context.run(work)
        if not starts_thread:
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
            except BaseException as error:  # noqa: BLE001  # it is raised to the caller
                # A provider that exits its thread, or the program, must not end the call.
                raised = (
                    error if isinstance(error, Exception) else RuntimeError(type(error).__name__)
                )
                with suppress(InvalidStateError):  # cancelled
                    future.set_exception(raised)
            else:
                with suppress(InvalidStateError):
                    future.set_result(result)
            future, work = self._next(future)

    def _next(self, done: Future[Any]) -> tuple[Future[Any] | None, Callable[[], Any]]:
        with self._lock:
            self._running.discard(done)
            notified = self._idle_timeout > 0
            while True:
                for future in list(self._waiting):
                    work = self._waiting.pop(future, None)
                    if work is not None and not future.cancelled():
                        self._running.add(future)
                        return future, work
                if not notified:
                    return None, lambda: None
                self._idle += 1
                notified = self._lock.wait(self._idle_timeout)
                self._idle -= 1


async def await_future(future: Future[Any]) -> Any:
    """Await a future of a worker thread, in any event loop; a cancelled task cancels it."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        import anyio

        try:
            while not future.done():  # noqa: ASYNC110  # the thread knows no event loop
                await anyio.sleep(0.001)
        finally:
            future.cancel()
        return future.result()
    return await asyncio.wrap_future(future)


@in_forked_child
def _reset_all() -> None:
    for one in list(_ALL):
        one.reset()
