"""Several requests at once, for emulating `n`.

Each has a performer and a thread or task of its own. Their outcomes and the pieces of their
streams come through one queue. The first failure ends all: tasks are cancelled, and threads, which
can't be interrupted, close what they have when they return from waiting. A stream is read to
upstream's end by the thread or task that opened it, so that its connection can be used again.
"""

from __future__ import annotations

import asyncio
import contextvars
import functools
import queue
import threading
from contextlib import suppress
from typing import Any

from adapter._exchange.effects import Effect, Exchange, Outcome, Send, StreamReply

from .fan_out_results import CLOSED, FanOutItem, FanOutState
from .run import adrive, drive
from .steps import Step


class _BranchCancelled(BaseException):
    """Raised to stop a branch whose result isn't needed any more.

    A BaseException, so that no exchange catches it.
    """


_GRACE = 1.0
"""Seconds that a stream whose answer has ended may take to end."""

_POLL_SECONDS = 1.0
"""Seconds after which a waiting reader checks whether any thread is alive."""


class FanOutThreads:
    """Runs exchanges in threads."""

    def __init__(self, performers: list[Any], branches: tuple[Exchange, ...]) -> None:
        self.state = FanOutState(performers)
        self._branches = branches
        self._queue: queue.SimpleQueue[FanOutItem] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []

    def next_item(self) -> FanOutItem:
        """Wait for the next item; raise RuntimeError if all threads ended without one."""
        while True:
            try:
                return self._queue.get(timeout=_POLL_SECONDS)
            except queue.Empty:
                if not any(thread.is_alive() for thread in self._threads) and self._queue.empty():
                    raise RuntimeError("the threads have ended") from None

    def run(self) -> tuple[tuple[Outcome, ...], Any]:
        """Wait for all outcomes, or the first failure.

        Return the outcomes and the performer whose reply gives the headers.
        """
        state = self.state
        try:
            for number in range(len(state.performers)):
                context = contextvars.copy_context()
                thread = threading.Thread(
                    target=context.run,
                    args=(self._run_branch, number),
                    name="adapter-n",
                    daemon=True,
                )
                self._threads.append(thread)
                thread.start()
            while not state.complete:
                item = self.next_item()
                failed = state.add(item)
                if failed is not None:
                    self._finish(item.branch)
                    return (failed,), state.performers[item.branch]
        except BaseException:
            self._finish(None)
            raise
        return state.in_order(), state.performers[0]

    def _finish(self, chosen: int | None) -> None:
        with self._lock:
            self.state.stopped = True
            left = self.state.release_reply(chosen)
        if left is not None:
            with suppress(Exception):
                left.upstream.close()

    def _run_branch(self, number: int) -> None:
        performer = self.state.performers[number]
        kept = False

        def perform(effect: Effect) -> Any:
            with self._lock:  # a thread that stops all sees what was sent
                if self.state.stopped:
                    raise _BranchCancelled
                performer.context.requests_sent += type(effect) is Send
            return performer.perform(effect)

        try:
            outcome = drive(self._branches[number], perform)
            kept = self._put(number, outcome)
            if isinstance(outcome, StreamReply):
                for data in performer.pieces(outcome):
                    self._put(number, data)
                    if self.state.stopped:
                        return
                self._put(number, None)
        except _BranchCancelled:
            performer.perform(Step.CANCEL_RUN)
        except BaseException as error:  # noqa: BLE001  # the caller gets it
            try:
                self._put(number, error)
            except Exception as bug:  # noqa: BLE001  # the caller waits for an item
                self._queue.put(FanOutItem(number, bug))
        finally:
            if not kept:
                with suppress(Exception):
                    performer.upstream.close()

    def _put(self, number: int, payload: Outcome | bytes | BaseException | None) -> bool:
        """Put an item into the queue; return whether its reply is the caller's now."""
        with self._lock:
            kept = self.state.claim_reply(number, payload)
            self._queue.put(FanOutItem(number, payload))
        return kept

    def abort(self) -> None:
        """Stop all branches, also those that have sent nothing; nothing more is sent."""
        with self._lock:
            self.state.stopped = True
        self._finish(None)

    def stop(self) -> None:
        """Let the threads end as soon as they can and close their replies; wake the reader."""
        self.state.stopped = True
        self._queue.put(CLOSED)


class FanOutTasks:
    """Runs exchanges in tasks of asyncio."""

    def __init__(self, performers: list[Any], branches: tuple[Exchange, ...]) -> None:
        self.state = FanOutState(performers)
        self._branches = branches
        self._queue: asyncio.Queue[FanOutItem] = asyncio.Queue()
        self._tasks: list[asyncio.Task[None]] = []
        self._finishing: set[int] = set()
        self._stopped = False

    async def run(self) -> tuple[tuple[Outcome, ...], Any]:
        """Wait for all outcomes, or the first failure.

        Return the outcomes and the performer whose reply gives the headers.
        """
        state = self.state
        try:
            for number in range(len(state.performers)):
                task = asyncio.create_task(self._run_branch(number), name="adapter-n")
                task.add_done_callback(functools.partial(self._wake_on_error, number))
                self._tasks.append(task)
            while not state.complete:
                item = await self.next_item()
                failed = state.add(item)
                if failed is not None:
                    await self.cancel(item.branch)
                    return (failed,), state.performers[item.branch]
        except BaseException:
            await self.cancel()
            raise
        return state.in_order(), state.performers[0]

    async def next_item(self) -> FanOutItem:
        """Wait for the next item."""
        return await self._queue.get()

    async def _run_branch(self, number: int) -> None:
        performer = self.state.performers[number]
        kept = False
        try:
            outcome = await adrive(self._branches[number], performer.perform)
            kept = self._put(number, outcome)
            if isinstance(outcome, StreamReply):
                async for data in performer.pieces(outcome):
                    self._put(number, data)
                self._put(number, None)
        except BaseException as error:
            # Also a cancellation by the transport itself, which a single call would raise.
            if not self.state.stopped:
                try:
                    self._put(number, error)
                except Exception as bug:  # noqa: BLE001  # the caller waits for an item
                    self._queue.put_nowait(FanOutItem(number, bug))
            if isinstance(error, asyncio.CancelledError):
                raise
        finally:
            self._finishing.add(number)
            if not kept:
                with suppress(Exception):
                    await performer.upstream.close()
                await performer.perform(Step.CANCEL_RUN)

    def _wake_on_error(self, number: int, task: asyncio.Task[None]) -> None:
        """Wake the reader when a task has failed."""
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self._queue.put_nowait(FanOutItem(number, error))

    def _put(self, number: int, payload: Outcome | bytes | BaseException | None) -> bool:
        """Put an item into the queue; return whether its reply is the caller's now."""
        kept = self.state.claim_reply(number, payload)
        self._queue.put_nowait(FanOutItem(number, payload))
        return kept

    def stop(self) -> None:
        """Cancel the running tasks, but none that is closing its reply; wake the reader."""
        self.state.stopped = True
        # Once: a second cancellation would hit the HTTP library while it closes a connection.
        tasks, self._stopped = [] if self._stopped else self._tasks, True
        for number, task in enumerate(tasks):
            if number in self._finishing:
                continue
            if self.state.answer_ended(number):
                # It reads on to upstream's end, which comes soon; classic httpx loses a connection
                # whose reader is cancelled just as it reaches the end.
                task.get_loop().call_later(_GRACE, task.cancel)
            else:
                task.cancel()
        self._queue.put_nowait(CLOSED)

    async def abort(self) -> None:
        """Stop all branches, also those that have sent nothing; nothing more is sent."""
        self.state.stopped = True
        for task in () if self._stopped else self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        await self.cancel()

    async def cancel(self, chosen: int | None = None) -> None:
        """Cancel the running tasks, and wait until all replies but the chosen are closed."""
        self.stop()
        if self._tasks:
            await asyncio.wait(self._tasks)
        left = self.state.release_reply(chosen)
        if left is not None:
            with suppress(Exception):
                await left.upstream.close()
