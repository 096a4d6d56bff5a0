"""Reply bodies made by a door: byte streams that resume, and that pass `close` on.

The SDK's async reader iterates a body a second time to drain it after `[DONE]` (MAPPING §9.3): iteration goes on where it stopped.
Reading on after `[DONE]` reads upstream to its end, so that a connection can be used again. The SDK's sync reader doesn't
read on, and loses a connection with each of Chat's own streams; here `[DONE]` waits until upstream has ended (draining.py). But
where the answer ended before upstream did (at a stop sequence) upstream is closed at once, since every token that it still
writes is paid for.
"""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from typing import Any, Protocol

from adapter._exchange.effects import Streamed
from adapter._exchange.stream import Frame, Relay
from adapter._runtime.call_context import PASSED_ON
from adapter.errors import StreamTruncated


class Body:
    """A sync byte stream over a pump; `close` ends its trip and closes upstream, once."""

    def __init__(self, pump: Iterator[bytes], trip: Any) -> None:
        self._pump = pump
        self._trip = trip

    def __iter__(self) -> Iterator[bytes]:
        return self._pump

    def close(self) -> None:
        """Close upstream."""
        trip, self._trip = self._trip, None
        if trip is not None:
            try:
                trip.finish()
            except Exception as bug:
                if hasattr(bug, PASSED_ON) or trip.ticket.router.settings.on_bug == "raise":
                    raise
                trip.upstream.close()


class AsyncBody:
    """An async byte stream over a pump; `aclose` ends its trip and closes upstream, once."""

    def __init__(self, pump: Any, trip: Any) -> None:
        self._pump = pump
        self._trip = trip
        self.outlived: weakref.finalize[[asyncio.AbstractEventLoop, object], AsyncBody] | None = None

    def __aiter__(self) -> AsyncIterator[bytes]:
        pump: AsyncIterator[bytes] = self._pump
        return pump

    async def aclose(self) -> None:
        """Close upstream."""
        with suppress(Exception):
            self._pump.closed = True
        trip, self._trip = self._trip, None
        if trip is not None:
            try:
                await trip.finish()
            except Exception as bug:
                if hasattr(bug, PASSED_ON) or trip.ticket.router.settings.on_bug == "raise":
                    raise
                await trip.upstream.aclose()
        if self.outlived is not None:
            self.outlived.detach()


def outlive(body: AsyncBody, trip: object) -> None:
    """Keep a trip, and the generators that it reads upstream with, for a little longer than the body made of it.

    A stream that the application leaves without closing it is garbage as a whole, and the event loop closes its generators
    in the order of their age. Ours are older than the SDK's, since the stream's first events are read before its
    headers go up; closed before the response is, they would fail ("already running").
    """
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        return  # another kind of loop, with rules of its own
    body.outlived = weakref.finalize(body, _let_go, loop, trip)
    body.outlived.atexit = False


def _let_go(loop: asyncio.AbstractEventLoop, trip: object) -> None:
    with suppress(RuntimeError):  # the loop is closed
        loop.call_soon_threadsafe(id, trip)  # what it calls doesn't matter: that it holds the trip until then does


class Sent:
    """A request's body, to be let go of when its reply is under way: the HTTP libraries hold it as long as the reply is open."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def __iter__(self) -> Iterator[bytes]:
        yield self._data

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self._data

    def release(self) -> None:
        """Let go of it; it isn't sent again."""
        self._data = b""


Over = Callable[[BaseException | str | None], None]
"""Told as soon as the end of a stream is known, with what went wrong: SDKs 1.x don't close a stream that raises."""


class Carrier(Protocol):
    """What a relay asks of the trip that it is part of."""

    def truncated(self, why: str) -> Exception:
        """Make the exception for a stream that ends before its terminal event."""

    def closed_early(self) -> Exception:
        """Make the exception for a stream that is read after it was closed."""

    @property
    def strict(self) -> bool:
        """Tell whether the adapter's own bugs are to be raised."""

    def over(self, error: BaseException | str | None = None) -> None:
        """Take note of the end, before the reader sees it: SDKs 1.x don't close a stream that raises."""


class SyncCarrier(Carrier, Protocol):
    """A trip in sync code."""

    def book(self, relay: Relay) -> None:
        """Remember what is to be remembered, and take note of the end, before the reader can act on it."""

    def drain(self) -> Exception | None:
        """Read upstream to its end after the answer's last word and before `[DONE]`; return the error that stands behind it."""

    def close(self) -> None:
        """Close upstream."""


class AsyncCarrier(Carrier, Protocol):
    """A trip in async code."""

    async def book(self, relay: Relay) -> None:
        """Remember what is to be remembered, and take note of the end, before the reader can act on it."""

    async def aclose(self) -> None:
        """Close upstream."""


def pump(  # noqa: C901  # one stream, from its first byte to its last
    stream: Streamed, source: Iterator[bytes], trip: SyncCarrier
) -> Iterator[list[Frame]]:
    """Relay a stream, frame by frame."""
    relay = stream.relay
    first = True
    try:
        if relay.unsaved is not None or relay.done or stream.begun:
            first = False
            try:
                trip.book(relay)
            except Exception:  # an answer is worth more than what is known of it
                if trip.strict:
                    raise
        if relay.hang_up:
            trip.close()
        if stream.begun:
            yield from _in_turn(stream.begun, relay, trip.drain)
        if stream.error is not None:
            raise stream.error
        for data in () if relay.hang_up else source:
            out = relay.feed(data)
            if relay.unsaved is not None or relay.done or first:
                first = False
                try:
                    trip.book(relay)
                except Exception:  # as above
                    if trip.strict:
                        raise
            if out:
                if relay.hang_up:
                    trip.close()  # before the last of the answer goes out: the reader needn't come back
                yield from _in_turn(out, relay, trip.drain) if relay.done else (out,)
            if relay.hang_up:
                return
        try:
            ending = [] if relay.done else [*relay.close()]
        except StreamTruncated as error:
            raise trip.truncated(str(error)) from None
        if ending:
            with suppress(Exception):
                trip.book(relay)
            yield ending
    except Exception as error:
        with suppress(Exception):
            trip.over(error)
        raise


def _in_turn(frames: list[Frame], relay: Relay, drain: Callable[[], Exception | None]) -> Iterator[list[Frame]]:
    """Give frames, and `[DONE]` once upstream has ended; an error of its end is for those who read on."""
    if not relay.done or relay.broken or relay.hang_up:
        yield frames
        return
    if frames[:-1]:
        yield frames[:-1]
    error = drain()
    yield frames[-1:]
    if error is not None:
        raise error


class APump:
    """Relay a stream, frame by frame, asynchronously.

    A class and no async generator: one that is left behind is finalised by the event loop, in a task of its own, while the SDK
    closes the same stream; and one that is closed ends as if all had been read.
    """

    __slots__ = ("_begun", "_error", "_first", "_left", "_relay", "_source", "_trip", "closed")

    def __init__(self, stream: Streamed, source: AsyncIterator[bytes], trip: AsyncCarrier) -> None:
        self._begun = stream.begun
        self._error = stream.error
        self._relay = stream.relay
        self._source = source
        self._trip = trip
        self._left = False
        self._first = True
        self.closed = False

    def __aiter__(self) -> AsyncIterator[list[Frame]]:
        return self

    async def __anext__(self) -> list[Frame]:
        relay = self._relay
        out: list[Frame] = []
        try:
            if not (self._begun or self._error is not None or self.closed or relay.done):  # as for most of a stream
                data = await anext(self._source, None)
                if data is not None:  # else `_next` says how it ended
                    out = relay.feed(data)
            if relay.unsaved is not None:
                await self._book()
            if not out:
                out = await self._next()
        except Exception as error:
            with suppress(Exception):
                self._trip.over(None if isinstance(error, StopAsyncIteration) else error)
            raise
        if relay.done or self._first:
            self._first = False
            await self._book()
            if relay.hang_up and not self._left:
                self._left = True
                await self._trip.aclose()  # before the last of the answer goes out: the reader needn't come back
        return out

    async def _book(self) -> None:
        try:
            await self._trip.book(self._relay)
        except Exception:  # an answer is worth more than what is known of it
            if self._trip.strict:
                raise

    async def _next(self) -> list[Frame]:
        begun, self._begun = self._begun, []
        if begun:
            return begun
        if self._error is not None:
            raise self._error
        if self.closed and not self._relay.done:
            raise self._trip.closed_early()
        if self._left:
            raise StopAsyncIteration
        while (data := await anext(self._source, None)) is not None:
            out = self._relay.feed(data)
            if self._relay.unsaved is not None:
                await self._book()
            if out:
                return out
        await self._trip.aclose()  # it has ended: its connection can be used again
        try:
            ending = [] if self._relay.done else [*self._relay.close()]
        except StreamTruncated as error:
            raise self._trip.truncated(str(error)) from None
        if ending:
            return ending
        raise StopAsyncIteration
