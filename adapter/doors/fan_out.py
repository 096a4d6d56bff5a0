"""Several requests at once, for emulating `n`: each on a trip of its own, in a thread or a task of its own.

What the trips bring comes through one queue. The first one that fails ends all: tasks are cancelled, threads close what they
have when they return from waiting (a thread can't be interrupted). A stream is read to its end by the thread or task that
opened it.
"""

from __future__ import annotations

import asyncio
import contextvars
import queue
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any, NamedTuple

from adapter.chorus import Chorus
from adapter.effects import Journey, Outcome, Rewritten, Streamed
from adapter.errors import StreamTruncated

from .drive import adrive, drive


class _Brought(NamedTuple):
    """What a trip brought: its outcome, then the bytes of its stream piece by piece, then None; or an exception."""

    trip: int
    what: Outcome | bytes | BaseException | None


def _fails(outcome: Outcome) -> bool:
    return not isinstance(outcome, Streamed) and not (isinstance(outcome, Rewritten) and outcome.status < 400)


class _Gathering:
    """What the sync and the async fan-out share: the outcomes so far."""

    def __init__(self, trips: list[Any]) -> None:
        self.trips = trips
        self.outcomes: dict[int, Outcome] = {}
        self.early: list[_Brought] = []  # pieces of streams that came while others hadn't begun

    def take(self, brought: _Brought) -> Outcome | None:
        """Take what a trip brought; return an outcome that ends the whole call."""
        number, what = brought
        if isinstance(what, BaseException):
            raise what
        if isinstance(what, bytes) or what is None:
            self.early.append(brought)
            return None
        self.outcomes[number] = what
        return what if _fails(what) else None

    @property
    def complete(self) -> bool:
        return len(self.outcomes) == len(self.trips)

    def in_order(self) -> tuple[Outcome, ...]:
        return tuple(self.outcomes[number] for number in range(len(self.trips)))


class FanOutThreads:
    """Run journeys in threads."""

    def __init__(self, trips: list[Any], branches: tuple[Journey, ...]) -> None:
        self._gathering = _Gathering(trips)
        self._branches = branches
        self._queue: queue.SimpleQueue[_Brought] = queue.SimpleQueue()
        self._claiming = threading.Lock()
        self._claimed = False
        self.cancelled = threading.Event()

    def run(self) -> tuple[tuple[Outcome, ...], Any]:
        """Wait for all outcomes, or the first that fails; give them, and the trip whose headers the reply has."""
        gathering = self._gathering
        for number in range(len(gathering.trips)):
            context = contextvars.copy_context()
            threading.Thread(target=context.run, args=(self._go, number), name="adapter-n", daemon=True).start()
        try:
            while not gathering.complete:
                brought = self._queue.get()
                failed = gathering.take(brought)
                if failed is not None:
                    self.cancelled.set()
                    return (failed,), gathering.trips[brought.trip]
        except BaseException:
            self.cancelled.set()
            raise
        return gathering.in_order(), gathering.trips[0]

    def _go(self, number: int) -> None:
        trip = self._gathering.trips[number]
        kept = False
        try:
            outcome = drive(self._branches[number], trip.perform)
            kept = self._bring(number, outcome)
            if isinstance(outcome, Streamed):
                for data in trip.pieces(outcome):
                    self._queue.put(_Brought(number, data))
                    if self.cancelled.is_set():
                        return
                self._queue.put(_Brought(number, None))
        except BaseException as error:  # noqa: BLE001  # it is the caller's
            self._queue.put(_Brought(number, error))
        finally:
            if not kept:
                with suppress(Exception):
                    trip.close()

    def _bring(self, number: int, outcome: Outcome) -> bool:
        """Hand an outcome over; tell whether its reply is the caller's now: that of the first that fails."""
        with self._claiming:
            first = _fails(outcome) and not self._claimed
            self._claimed = self._claimed or first
            self._queue.put(_Brought(number, outcome))
        return first

    def pump(self, chorus: Chorus, truncated: Callable[[str], Exception]) -> Iterator[bytes]:
        """Give the merged stream's bytes."""
        try:
            for number, outcome in enumerate(self._gathering.in_order()):
                if isinstance(outcome, Rewritten) and (out := chorus.feed(number, outcome.body)):
                    yield out
            early, self._gathering.early = self._gathering.early, []
            while not chorus.done:
                number, what = early.pop(0) if early else self._queue.get()
                if isinstance(what, BaseException):
                    raise what
                if isinstance(what, bytes):
                    if out := chorus.feed(number, what):
                        yield out
                else:
                    chorus.close(number)
        except StreamTruncated as error:
            raise truncated(str(error)) from None
        finally:
            self.cancelled.set()


class FanOutTasks:
    """Run journeys in tasks of asyncio."""

    def __init__(self, trips: list[Any], branches: tuple[Journey, ...]) -> None:
        self._gathering = _Gathering(trips)
        self._branches = branches
        self._queue: asyncio.Queue[_Brought] = asyncio.Queue()
        self._tasks: list[asyncio.Task[None]] = []
        self._kept: Any = None

    async def run(self) -> tuple[tuple[Outcome, ...], Any]:
        """Wait for all outcomes, or the first that fails; give them, and the trip whose headers the reply has."""
        gathering = self._gathering
        self._tasks = [asyncio.create_task(self._go(number)) for number in range(len(gathering.trips))]
        try:
            while not gathering.complete:
                brought = await self._queue.get()
                failed = gathering.take(brought)
                if failed is not None:
                    self._kept = gathering.trips[brought.trip]
                    await self.cancel()
                    return (failed,), self._kept
        except BaseException:
            await self.cancel()
            raise
        return gathering.in_order(), gathering.trips[0]

    async def _go(self, number: int) -> None:
        trip = self._gathering.trips[number]
        kept = False
        try:
            outcome = await adrive(self._branches[number], trip.perform)
            kept = _fails(outcome)  # the first one's reply is the caller's; `cancel` closes the others
            self._queue.put_nowait(_Brought(number, outcome))
            if isinstance(outcome, Streamed):
                async for data in trip.pieces(outcome):
                    self._queue.put_nowait(_Brought(number, data))
                self._queue.put_nowait(_Brought(number, None))
        except asyncio.CancelledError:
            raise
        except BaseException as error:  # noqa: BLE001  # it is the caller's
            self._queue.put_nowait(_Brought(number, error))
        finally:
            if not kept:
                with suppress(Exception):
                    await trip.aclose()

    async def cancel(self) -> None:
        """Cancel what is still under way, and wait until it has closed its replies."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for number, outcome in self._gathering.outcomes.items():
            trip = self._gathering.trips[number]
            if _fails(outcome) and trip is not self._kept:
                with suppress(Exception):
                    await trip.aclose()

    def abandon(self, body: Any) -> None:
        """Cancel everything once a body that nobody closed is garbage."""
        loop = asyncio.get_running_loop()
        final = weakref.finalize(body, _abandoned, loop, self._tasks)
        final.atexit = False

    def pump(self, chorus: Chorus, truncated: Callable[[str], Exception], early: Callable[[], Exception]) -> _Pump:
        """Give the merged stream's bytes."""
        return _Pump(self._gathering, self._queue, chorus, truncated, early)


def _abandoned(loop: asyncio.AbstractEventLoop, tasks: list[asyncio.Task[None]]) -> None:
    def cancel() -> None:
        for task in tasks:
            task.cancel()

    with suppress(RuntimeError):  # the loop is closed
        loop.call_soon_threadsafe(cancel)


class _Pump:
    """Give the merged stream's bytes, asynchronously; a class for the reasons of bodies.APump."""

    def __init__(
        self,
        gathering: _Gathering,
        pieces: asyncio.Queue[_Brought],
        chorus: Chorus,
        truncated: Callable[[str], Exception],
        closed_early: Callable[[], Exception],
    ) -> None:
        self._whole = [
            (number, one.body) for number, one in enumerate(gathering.in_order()) if isinstance(one, Rewritten)
        ]
        self._early = gathering.early
        self._queue = pieces
        self._chorus = chorus
        self._truncated = truncated
        self._closed_early = closed_early
        self.closed = False

    def __aiter__(self) -> _Pump:
        return self

    async def __anext__(self) -> bytes:
        while self._whole:
            if out := self._chorus.feed(*self._whole.pop(0)):
                return out
        while not self._chorus.done:
            if self.closed:
                raise self._closed_early()
            number, what = self._early.pop(0) if self._early else await self._queue.get()
            if isinstance(what, BaseException):
                raise what
            if isinstance(what, bytes):
                if out := self._chorus.feed(number, what):
                    return out
                continue
            try:
                self._chorus.close(number)
            except StreamTruncated as error:
                raise self._truncated(str(error)) from None
        raise StopAsyncIteration
