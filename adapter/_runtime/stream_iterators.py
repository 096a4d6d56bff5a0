"""A stream as its reader takes it: as bytes, or as the frames that the bytes are made of.

An adapted client's stream reads frames, every other reader bytes. Both may take turns on one
stream: a frame that isn't a plain chunk (an error, `[DONE]`) is put back by the adapted client's
stream and read as bytes by the SDK's own reader, so that the SDK raises and closes as it always
does. The SDK's async reader iterates a body a second time to drain it after `[DONE]`: iteration
continues where it stopped (docs/mapping.md#http-duties).
"""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from typing import Any

from adapter._exchange.stream import BUG_FRAME, Frame

from .call_context import EXTERNAL_ERROR
from .fan_out_results import MergedStreamReader
from .internal_errors import is_adapter_error
from .stream_reader import StreamReader

Reader = StreamReader | MergedStreamReader


class _BaseStreamIterator:
    """What the sync and the async iterator share. `performer` performs what the reader yields."""

    __slots__ = (
        "__weakref__",
        "_error",
        "_failed",
        "_finished",
        "_perform",
        "_performer",
        "_returned",
        "_steps",
        "_unperformed",
        "reader",
    )

    def __init__(self, reader: Reader, performer: Any) -> None:
        self.reader = reader
        self._performer = performer
        self._perform = performer.perform
        self._steps = reader.frames_gen()
        # A step whose performing was cancelled: the next read performs it again.
        self._unperformed: Any = None
        self._returned: list[Frame] = []
        self._error: Exception | None = None
        self._failed = False  # by a bug of the adapter
        self._finished = False

    @property
    def has_frames(self) -> bool:
        """Whether the stream can be read as frames."""
        return isinstance(self.reader, StreamReader)

    def put_back(self, frame: Frame) -> None:
        """Let a frame be the next that is read as bytes."""
        self._returned.append(frame)

    def _reads_frames(self) -> bool:
        """Return whether frames can be read now; else the rest must be read as bytes."""
        if self._returned or self._error is not None or not isinstance(self.reader, StreamReader):
            return False
        self.reader.translator.as_bytes = False
        return True

    def _kept_bytes(self) -> bytes | None:
        """Return the bytes of what was put back, or raise the kept error; None without either."""
        if self._returned:
            frames, self._returned = self._returned, []
            return self.reader.encode(frames)
        if self._error is not None:
            error, self._error = self._error, None
            try:
                raise error
            finally:
                del error
        if isinstance(self.reader, StreamReader):
            self.reader.translator.as_bytes = True
        return None

    def keep_until_collected(self, performer: object) -> None:
        """Keep the performer until an abandoned stream is finalised, if it needs that."""

    def _error_frame(self, bug: Exception) -> bytes:
        """Return the error frame that ends the stream; raise what isn't the adapter's to hide."""
        if self._must_raise(bug) or self._finished or not is_adapter_error(bug):
            raise bug
        self._failed = True
        with suppress(Exception):
            self._performer.stream_ended("APIError")  # which the SDK raises
        return BUG_FRAME

    def _begin_close(self) -> bool:
        """Mark the stream as closed; return whether the request is to be finished."""
        self.reader.closed = True
        finished, self._finished = self._finished, True
        return not finished

    def _must_raise(self, bug: Exception) -> bool:
        on_internal_error: str = self._performer.context.router.settings.on_internal_error
        return hasattr(bug, EXTERNAL_ERROR) or on_internal_error == "raise"


class StreamIterator(_BaseStreamIterator):
    """An iterator of bytes, or of frames by `next_frames`."""

    __slots__ = ()

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        try:
            data = self._kept_bytes()
            if data is None:
                frames = None if self._failed else self._next()
                data = None if frames is None else self.reader.encode(frames)
        except Exception as bug:  # noqa: BLE001  # raised there, if the settings say so
            return self._error_frame(bug)
        if data is None:
            raise StopIteration
        return data

    def _next(self) -> list[Frame] | None:
        """Return the next frames; None at the end."""
        steps, item = self._steps, self._unperformed
        try:
            if item is None:
                item = next(steps)
            while type(item) is not list:
                self._unperformed = item
                try:
                    result = self._perform(item)
                except Exception as error:  # noqa: BLE001  # the reader decides
                    item = steps.throw(error)
                else:
                    item = steps.send(result)
        except StopIteration:
            self._unperformed = None
            return None
        self._unperformed = None
        frames: list[Frame] = item
        return frames

    def next_frames(self) -> list[Frame] | None:
        """Return the next frames; None if the rest (the end, an error) must be read as bytes."""
        if not self._reads_frames():
            return None
        try:
            return self._next()
        except Exception as error:  # noqa: BLE001  # the SDK's own reader raises it
            self._error = error
            return None

    def close(self) -> None:
        """Finish the request and close upstream, once."""
        try:
            if self._begin_close():
                self._performer.finish()
        except Exception as bug:
            if self._must_raise(bug):
                raise
            self._performer.upstream.close()

    def call_when_collected(self, function: Callable[[], object]) -> None:
        """Call a function when the stream is left without being closed."""
        weakref.finalize(self, function).atexit = False


class AsyncStreamIterator(_BaseStreamIterator):
    """An async iterator of bytes, or of frames by `next_frames`.

    A class and no async generator: an abandoned one is finalised by the event loop, in a task of
    its own, while the SDK closes the same stream; and a closed one ends as if all had been read.
    """

    __slots__ = ("_finalizer",)

    def __init__(self, reader: Reader, performer: Any) -> None:
        super().__init__(reader, performer)
        self._finalizer: Any = None

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        try:
            data = self._kept_bytes()
            if data is None:
                frames = None if self._failed else await self._next()
                data = None if frames is None else self.reader.encode(frames)
        except Exception as bug:  # noqa: BLE001  # raised there, if the settings say so
            return self._error_frame(bug)
        if data is None:
            raise StopAsyncIteration
        return data

    async def _next(self) -> list[Frame] | None:
        """Return the next frames; None at the end."""
        steps, item = self._steps, self._unperformed
        try:
            if item is None:
                item = next(steps)
            while type(item) is not list:
                self._unperformed = item
                try:
                    result = await self._perform(item)
                except Exception as error:  # noqa: BLE001  # as above
                    item = steps.throw(error)
                else:
                    item = steps.send(result)
        except StopIteration:
            self._unperformed = None
            return None
        self._unperformed = None
        frames: list[Frame] = item
        return frames

    async def next_frames(self) -> list[Frame] | None:
        """Return the next frames; None if the rest (the end, an error) must be read as bytes."""
        if not self._reads_frames():
            return None
        try:
            return await self._next()
        except Exception as error:  # noqa: BLE001  # the SDK's own reader raises it
            self._error = error
            return None

    async def close(self) -> None:
        """Finish the request and close upstream, once."""
        try:
            if self._begin_close():
                await self._performer.finish()
        except Exception as bug:
            if self._must_raise(bug):
                raise
            await self._performer.upstream.close()
        if self._finalizer is not None:
            self._finalizer.detach()

    def call_when_collected(self, function: Callable[..., object], *args: object) -> None:
        """Call a function in the event loop when the stream is left without being closed."""
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return  # not asyncio's
        self._finalizer = weakref.finalize(self, _call_in_loop, loop, function, *args)
        self._finalizer.atexit = False

    def keep_until_collected(self, performer: object) -> None:
        """Keep the performer, with its upstream, until an abandoned stream has been finalised.

        A stream that the application leaves without closing it is garbage as a whole, and the event
        loop closes its generators in the order of their age. Upstream's are older than the SDK's,
        since the stream's first events are read before its headers are returned; closed before the
        response is, they would fail ("already running").
        """
        self.call_when_collected(id, performer)  # any function: the call holds the performer


def _call_in_loop(
    loop: asyncio.AbstractEventLoop, function: Callable[..., object], *args: object
) -> None:
    with suppress(RuntimeError):  # the loop is closed
        loop.call_soon_threadsafe(function, *args)
