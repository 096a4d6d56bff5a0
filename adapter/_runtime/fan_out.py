"""Several requests at once, for emulating `n`: each on a trip of its own, in a thread or a task of its own.

What the trips bring comes through one queue. The first one that fails ends all: tasks are cancelled, threads close what they
have when they return from waiting (a thread can't be interrupted). A stream is read to its end by the thread or task that
opened it, also after its last word, so that its connection can be used again.
"""

from __future__ import annotations

import asyncio
import contextvars
import functools
import queue
import threading
import weakref
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from typing import Any

from adapter._exchange.effects import Effect, Journey, Outcome, Send, Streamed
from adapter._exchange.merged_stream import Chorus

from .fan_out_results import CLOSED, Brought, Gathering, Reading
from .run import adrive, drive


class _Cancelled(BaseException):
    """Ends a journey that nobody waits for; of a kind that no journey takes."""


_GRACE = 1.0
"""How many seconds a stream that has said its last word may take to end."""

_WAITING = 1.0
"""After how many seconds of waiting it is seen whether anybody is left to wait for."""


class FanOutThreads:
    """Run journeys in threads."""

    def __init__(self, trips: list[Any], branches: tuple[Journey, ...]) -> None:
        self._gathering = Gathering(trips)
        self._branches = branches
        self._queue: queue.SimpleQueue[Brought] = queue.SimpleQueue()
        self._claiming = threading.Lock()
        self._threads: list[threading.Thread] = []

    def _next(self) -> Brought:
        """Wait for what the threads bring; raises where they have all ended without a word."""
        while True:
            try:
                return self._queue.get(timeout=_WAITING)
            except queue.Empty:
                if not any(thread.is_alive() for thread in self._threads) and self._queue.empty():
                    raise RuntimeError("the threads have ended") from None

    def run(self) -> tuple[tuple[Outcome, ...], Any]:
        """Wait for all outcomes, or the first that fails; give them, and the trip whose headers the reply has."""
        gathering = self._gathering
        try:
            for number in range(len(gathering.trips)):
                context = contextvars.copy_context()
                thread = threading.Thread(target=context.run, args=(self._go, number), name="adapter-n", daemon=True)
                self._threads.append(thread)
                thread.start()
            while not gathering.complete:
                brought = self._next()
                failed = gathering.take(brought)
                if failed is not None:
                    self._end(brought.trip)
                    return (failed,), gathering.trips[brought.trip]
        except BaseException:
            self._end(None)
            raise
        return gathering.in_order(), gathering.trips[0]

    def _end(self, taken: int | None) -> None:
        with self._claiming:
            self._gathering.over = True
            left = self._gathering.settle(taken)
        if left is not None:
            with suppress(Exception):
                left.close()

    def _go(self, number: int) -> None:
        trip = self._gathering.trips[number]
        kept = False

        def perform(effect: Effect) -> Any:
            with self._claiming:  # whoever ends all knows then whether anything has been sent
                if self._gathering.over:
                    raise _Cancelled
                trip.ticket.sent += type(effect) is Send
            return trip.perform(effect)

        try:
            outcome = drive(self._branches[number], perform)
            kept = self._bring(number, outcome)
            if isinstance(outcome, Streamed):
                for data in trip.pieces(outcome):
                    self._bring(number, data)
                    if self._gathering.over:
                        return
                self._bring(number, None)
        except _Cancelled:
            trip.cancel_run()
        except BaseException as error:  # noqa: BLE001  # it is the caller's
            try:
                self._bring(number, error)
            except Exception as bug:  # noqa: BLE001  # somebody waits
                self._queue.put(Brought(number, bug))
        finally:
            if not kept:
                with suppress(Exception):
                    trip.close()

    def _bring(self, number: int, what: Outcome | bytes | BaseException | None) -> bool:
        """Hand over what a trip brought; tell whether its reply is the caller's now."""
        with self._claiming:
            kept = self._gathering.claim(number, what)
            self._queue.put(Brought(number, what))
        return kept

    def give_up(self) -> None:
        """End all, whatever it is in; nothing is sent any more."""
        with self._claiming:
            self._gathering.over = True
        self._end(None)

    def cancel(self) -> None:
        """Let the threads end as soon as they can, and wake who is reading; they close what they opened."""
        self._gathering.over = True
        self._queue.put(CLOSED)

    def abandon(self, body: Any) -> None:
        """Cancel everything once a body that nobody closed is garbage."""
        weakref.finalize(body, self.cancel).atexit = False

    def pump(self, chorus: Chorus, trip: Any) -> Iterator[bytes]:
        """Give the merged stream's bytes."""
        reading = Reading(self._gathering, chorus, trip)
        try:
            while not reading.over:
                if reading.whole:
                    out = reading.take_whole()
                else:
                    brought = reading.early.pop(0) if reading.early else self._next()
                    if brought is CLOSED:
                        if reading.said:
                            return
                        raise trip.closed_early()
                    out = reading.take(brought)
                if out:
                    if reading.ending():
                        self.cancel()
                    yield out
        except Exception as error:
            reading.ending(error)
            raise
        finally:
            self._gathering.over = True


class FanOutTasks:
    """Run journeys in tasks of asyncio."""

    def __init__(self, trips: list[Any], branches: tuple[Journey, ...]) -> None:
        self._gathering = Gathering(trips)
        self._branches = branches
        self._queue: asyncio.Queue[Brought] = asyncio.Queue()
        self._tasks: list[asyncio.Task[None]] = []
        self._leaving: set[int] = set()
        self._stopped = False

    async def run(self) -> tuple[tuple[Outcome, ...], Any]:
        """Wait for all outcomes, or the first that fails; give them, and the trip whose headers the reply has."""
        gathering = self._gathering
        try:
            for number in range(len(gathering.trips)):
                task = asyncio.create_task(self._go(number), name="adapter-n")
                task.add_done_callback(functools.partial(self._died, number))
                self._tasks.append(task)
            while not gathering.complete:
                brought = await self._queue.get()
                failed = gathering.take(brought)
                if failed is not None:
                    await self.cancel(brought.trip)
                    return (failed,), gathering.trips[brought.trip]
        except BaseException:
            await self.cancel()
            raise
        return gathering.in_order(), gathering.trips[0]

    async def _go(self, number: int) -> None:
        trip = self._gathering.trips[number]
        kept = False
        try:
            outcome = await adrive(self._branches[number], trip.perform)
            kept = self._bring(number, outcome)
            if isinstance(outcome, Streamed):
                async for data in trip.pieces(outcome):
                    self._bring(number, data)
                self._bring(number, None)
        except BaseException as error:
            # Also a cancellation that isn't ours: a transport's own, which a single call would let through.
            if not self._gathering.over:
                try:
                    self._bring(number, error)
                except Exception as bug:  # noqa: BLE001  # somebody waits
                    self._queue.put_nowait(Brought(number, bug))
            if isinstance(error, asyncio.CancelledError):
                raise
        finally:
            self._leaving.add(number)
            if not kept:
                with suppress(Exception):
                    await trip.aclose()
                await trip.cancel_run()

    def _died(self, number: int, task: asyncio.Task[None]) -> None:
        """Wake whoever waits for a task that has failed."""
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self._queue.put_nowait(Brought(number, error))

    def _bring(self, number: int, what: Outcome | bytes | BaseException | None) -> bool:
        """Hand over what a trip brought; tell whether its reply is the caller's now."""
        kept = self._gathering.claim(number, what)
        self._queue.put_nowait(Brought(number, what))
        return kept

    def stop(self) -> None:
        """Cancel what is still under way, but nobody who is closing a reply already; wake who is reading."""
        self._gathering.over = True
        # Once: a second cancellation would hit the HTTP library where it closes a connection because of the first.
        tasks, self._stopped = [] if self._stopped else self._tasks, True
        for number, task in enumerate(tasks):
            if number in self._leaving:
                continue
            if self._gathering.said_all(number):
                # It only reads on to upstream's end, which is there in a moment; classic httpx loses a connection whose reader is
                # cancelled just when it has come to the end.
                task.get_loop().call_later(_GRACE, task.cancel)
            else:
                task.cancel()
        self._queue.put_nowait(CLOSED)

    async def give_up(self) -> None:
        """End all, whatever it is in; nothing is sent any more."""
        self._gathering.over = True
        for task in () if self._stopped else self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        await self.cancel()

    async def cancel(self, taken: int | None = None) -> None:
        """Cancel what is still under way, and wait until it has closed its replies, all but the one that is taken."""
        self.stop()
        if self._tasks:
            await asyncio.wait(self._tasks)
        left = self._gathering.settle(taken)
        if left is not None:
            with suppress(Exception):
                await left.aclose()

    def abandon(self, body: Any) -> None:
        """Cancel everything once a body that nobody closed is garbage."""
        final = weakref.finalize(body, _abandoned, asyncio.get_running_loop(), self.stop)
        final.atexit = False

    def pump(self, chorus: Chorus, trip: Any) -> _Pump:
        """Give the merged stream's bytes."""
        return _Pump(Reading(self._gathering, chorus, trip), self._queue, self.cancel, trip)


def _abandoned(loop: asyncio.AbstractEventLoop, stop: Callable[[], None]) -> None:
    with suppress(RuntimeError):  # the loop is closed
        loop.call_soon_threadsafe(stop)


class _Pump:
    """Give the merged stream's bytes, asynchronously; a class for the reasons of bodies.APump."""

    def __init__(
        self,
        reading: Reading,
        pieces: asyncio.Queue[Brought],
        cancel: Callable[[], Awaitable[None]],
        trip: Any,
    ) -> None:
        self._reading = reading
        self._queue = pieces
        self._trip = trip
        self._cancel = cancel
        self.closed = False

    def __aiter__(self) -> _Pump:
        return self

    async def __anext__(self) -> bytes:
        try:
            out = await self._next()
        except StopAsyncIteration:
            raise
        except Exception as error:
            self._reading.ending(error)
            await self._cancel()
            raise
        if self._reading.ending():
            await self._cancel()
        return out

    async def _next(self) -> bytes:
        reading = self._reading
        while not reading.over:
            if self.closed:
                if reading.said:
                    break
                raise self._trip.closed_early()
            if reading.whole:
                out = reading.take_whole()
            else:
                brought = reading.early.pop(0) if reading.early else await self._queue.get()
                if brought is CLOSED:
                    self.closed = True
                    continue
                out = reading.take(brought)
            if out:
                return out
        raise StopAsyncIteration
