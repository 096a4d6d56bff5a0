"""Several requests at once, for emulating `n`: each on a trip of its own, in a thread or a task of its own.

What the trips bring comes through one queue. The first one that fails ends all: tasks are cancelled, threads close what they
have when they return from waiting (a thread can't be interrupted). A stream is read to its end by the thread or task that
opened it, also after its last word, so that its connection can be used again.
"""

from __future__ import annotations

import asyncio
import contextvars
import queue
import threading
import weakref
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from typing import Any, NamedTuple

from adapter.chorus import Chorus
from adapter.effects import Effect, Journey, Outcome, Rewritten, Streamed
from adapter.errors import StreamTruncated

from .bodies import Over
from .drive import adrive, drive


class _Brought(NamedTuple):
    """What a trip brought: its outcome, then the bytes of its stream piece by piece, then None; or an exception."""

    trip: int
    what: Outcome | bytes | BaseException | None


_CLOSED = _Brought(-1, None)  # brought by nobody: wakes a reader whose stream somebody else closes
_NOBODY = -1
_ERROR_FRAME = b'data: {"error":'  # inside of JSON strings the quotes would be escaped


class _Cancelled(BaseException):
    """Ends a journey that nobody waits for; of a kind that no journey takes."""


def _fails(outcome: Outcome) -> bool:
    return not isinstance(outcome, Streamed) and not (isinstance(outcome, Rewritten) and outcome.status < 400)


class _Gathering:
    """What the sync and the async fan-out share: the outcomes so far, and whose reply is to be the caller's."""

    def __init__(self, trips: list[Any]) -> None:
        self.trips = trips
        self.outcomes: dict[int, Outcome] = {}
        self.early: list[_Brought] = []  # pieces of streams that came while others hadn't begun
        self.over = False
        self._kept: int | None = None

    def claim(self, number: int, what: Outcome | bytes | BaseException | None) -> bool:
        """Tell whether a trip that brings this keeps its reply open for the caller: the first one that fails does."""
        if self._kept is not None or self.over:
            return False
        if isinstance(what, BaseException):
            self._kept = _NOBODY
        elif what is not None and not isinstance(what, bytes) and _fails(what):
            self._kept = number
        return self._kept == number

    def settle(self, taken: int | None) -> Any:
        """End the gathering; return the trip, if there is one, that has kept a reply which isn't taken."""
        kept, self._kept = self._kept, _NOBODY
        return None if kept in (None, _NOBODY, taken) else self.trips[kept]

    def take(self, brought: _Brought) -> Outcome | None:
        """Take what a trip brought; return an outcome that ends the whole call."""
        number, what = brought
        begun = self.outcomes.get(number)
        if begun is None:
            if isinstance(what, BaseException):
                try:
                    raise what
                finally:
                    del what, brought  # else the exception would hold this frame, and the frame the exception
            assert what is not None
            assert not isinstance(what, bytes)
            self.outcomes[number] = what
            return what if _fails(what) else None
        self.early.append(brought)
        if isinstance(begun, Streamed):
            return self._broken(number, begun, what)
        return None

    def _broken(self, number: int, begun: Streamed, what: Any) -> Outcome | None:
        """Return what a single call would show of a stream that breaks off before the others have begun."""
        if isinstance(what, Exception):
            return Streamed(begun.relay, b"", what)
        if isinstance(what, BaseException):
            raise what
        if what is not None and _ERROR_FRAME in what:
            said = b"".join(piece for trip, piece in self.early if trip == number and isinstance(piece, bytes))
            return Rewritten(200, said, "text/event-stream")
        return None

    @property
    def complete(self) -> bool:
        return len(self.outcomes) == len(self.trips)

    def in_order(self) -> tuple[Outcome, ...]:
        return tuple(self.outcomes[number] for number in range(len(self.trips)))


class _Reading:
    """The merged stream, as far as it is read: what the sync and the async reader share."""

    def __init__(
        self,
        gathering: _Gathering,
        chorus: Chorus,
        truncated: Callable[[str], Exception],
        over: Over,
    ) -> None:
        self.early = gathering.early
        self.whole = [(n, one.body) for n, one in enumerate(gathering.in_order()) if isinstance(one, Rewritten)]
        self._open = {n for n, one in enumerate(gathering.in_order()) if isinstance(one, Streamed)}
        self._chorus = chorus
        self._truncated = truncated
        self._tell = over

    def ending(self, error: BaseException | None = None) -> bool:
        """Tell of the end as soon as it is known; return whether it is an error: SDKs 1.x don't close a stream that raises."""
        if error is not None or self._chorus.done:
            self._tell("APIError" if error is None and self._chorus.failed else error)
        return error is not None or self._chorus.failed

    @property
    def over(self) -> bool:
        """Tell whether there is nothing more to be read, upstream's last bytes included."""
        return self._chorus.failed or not (self._open or self.whole)

    @property
    def said(self) -> bool:
        """Tell whether all has been said, though upstream may still have something to send."""
        return self._chorus.done

    def take_whole(self) -> bytes:
        """Take an answer that came in one piece."""
        number, body = self.whole.pop(0)
        out = self._chorus.feed(number, body)
        self._close(number)
        return out

    def take(self, brought: _Brought) -> bytes:
        """Take a piece of a stream, its end or its error; raises the latter."""
        number, what = brought
        if isinstance(what, bytes):
            return self._chorus.feed(number, what)
        self._open.discard(number)
        if isinstance(what, BaseException):
            if isinstance(what, Exception) and self._chorus.ended(number):
                return b""  # it had said its last word
            try:
                raise what
            finally:
                del what, brought
        self._close(number)
        return b""

    def _close(self, number: int) -> None:
        try:
            self._chorus.close(number)
        except StreamTruncated as error:
            raise self._truncated(str(error)) from None


class FanOutThreads:
    """Run journeys in threads."""

    def __init__(self, trips: list[Any], branches: tuple[Journey, ...]) -> None:
        self._gathering = _Gathering(trips)
        self._branches = branches
        self._queue: queue.SimpleQueue[_Brought] = queue.SimpleQueue()
        self._claiming = threading.Lock()

    def run(self) -> tuple[tuple[Outcome, ...], Any]:
        """Wait for all outcomes, or the first that fails; give them, and the trip whose headers the reply has."""
        gathering = self._gathering
        try:
            for number in range(len(gathering.trips)):
                context = contextvars.copy_context()
                threading.Thread(target=context.run, args=(self._go, number), name="adapter-n", daemon=True).start()
            while not gathering.complete:
                brought = self._queue.get()
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
            if self._gathering.over:
                raise _Cancelled
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
            pass
        except BaseException as error:  # noqa: BLE001  # it is the caller's
            self._bring(number, error)
        finally:
            if not kept:
                with suppress(Exception):
                    trip.close()

    def _bring(self, number: int, what: Outcome | bytes | BaseException | None) -> bool:
        """Hand over what a trip brought; tell whether its reply is the caller's now."""
        with self._claiming:
            kept = self._gathering.claim(number, what)
            self._queue.put(_Brought(number, what))
        return kept

    def cancel(self) -> None:
        """Let the threads end as soon as they can, and wake who is reading; they close what they opened."""
        self._gathering.over = True
        self._queue.put(_CLOSED)

    def abandon(self, body: Any) -> None:
        """Cancel everything once a body that nobody closed is garbage."""
        weakref.finalize(body, self.cancel).atexit = False

    def pump(
        self,
        chorus: Chorus,
        truncated: Callable[[str], Exception],
        closed_early: Callable[[], Exception],
        *,
        over: Over,
    ) -> Iterator[bytes]:
        """Give the merged stream's bytes."""
        reading = _Reading(self._gathering, chorus, truncated, over)
        try:
            while not reading.over:
                if reading.whole:
                    out = reading.take_whole()
                else:
                    brought = reading.early.pop(0) if reading.early else self._queue.get()
                    if brought is _CLOSED:
                        if reading.said:
                            return
                        raise closed_early()
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
        self._gathering = _Gathering(trips)
        self._branches = branches
        self._queue: asyncio.Queue[_Brought] = asyncio.Queue()
        self._tasks: list[asyncio.Task[None]] = []
        self._leaving: set[int] = set()

    async def run(self) -> tuple[tuple[Outcome, ...], Any]:
        """Wait for all outcomes, or the first that fails; give them, and the trip whose headers the reply has."""
        gathering = self._gathering
        try:
            for number in range(len(gathering.trips)):
                self._tasks.append(asyncio.create_task(self._go(number), name="adapter-n"))
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
                self._bring(number, error)
            if isinstance(error, asyncio.CancelledError):
                raise
        finally:
            self._leaving.add(number)
            if not kept:
                with suppress(Exception):
                    await trip.aclose()

    def _bring(self, number: int, what: Outcome | bytes | BaseException | None) -> bool:
        """Hand over what a trip brought; tell whether its reply is the caller's now."""
        kept = self._gathering.claim(number, what)
        self._queue.put_nowait(_Brought(number, what))
        return kept

    def stop(self) -> None:
        """Cancel what is still under way, but nobody who is closing a reply already; wake who is reading."""
        self._gathering.over = True
        for number, task in enumerate(self._tasks):
            if number not in self._leaving:
                task.cancel()
        self._queue.put_nowait(_CLOSED)

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

    def pump(
        self,
        chorus: Chorus,
        truncated: Callable[[str], Exception],
        closed_early: Callable[[], Exception],
        *,
        over: Over,
    ) -> _Pump:
        """Give the merged stream's bytes."""
        return _Pump(_Reading(self._gathering, chorus, truncated, over), self._queue, closed_early, self.cancel)


def _abandoned(loop: asyncio.AbstractEventLoop, stop: Callable[[], None]) -> None:
    with suppress(RuntimeError):  # the loop is closed
        loop.call_soon_threadsafe(stop)


class _Pump:
    """Give the merged stream's bytes, asynchronously; a class for the reasons of bodies.APump."""

    def __init__(
        self,
        reading: _Reading,
        pieces: asyncio.Queue[_Brought],
        closed_early: Callable[[], Exception],
        cancel: Callable[[], Awaitable[None]],
    ) -> None:
        self._reading = reading
        self._queue = pieces
        self._closed_early = closed_early
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
                raise self._closed_early()
            if reading.whole:
                out = reading.take_whole()
            else:
                brought = reading.early.pop(0) if reading.early else await self._queue.get()
                if brought is _CLOSED:
                    self.closed = True
                    continue
                out = reading.take(brought)
            if out:
                return out
        raise StopAsyncIteration
