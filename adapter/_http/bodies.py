"""Bodies of translated replies: byte streams that can be resumed, and that pass `close` on.

The SDK's async reader iterates a body a second time to drain it after `[DONE]`: iteration
continues where it stopped (docs/mapping.md#http-duties). Reading on after `[DONE]` reads upstream
to its end, so that the connection can be used again. The SDK's sync reader doesn't read on, and
loses a connection with each of Chat's own streams; here `[DONE]` is held back until upstream has
ended (draining.py, docs/decisions.md#connections). An upstream whose answer was cut at a stop
sequence is closed at once, since every token that it still writes is paid for.
"""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from typing import Any, Protocol

from adapter._exchange.effects import StreamReply
from adapter._exchange.stream import BUG_FRAME, Frame, StreamTranslator
from adapter._runtime.call_context import EXTERNAL_ERROR
from adapter._runtime.internal_errors import is_adapter_error
from adapter.errors import StreamTruncated


class _BaseBody:
    """What a sync and an async body share: an error of the adapter ends it with an error frame."""

    library_errors: tuple[type[Exception], ...] = ()  # of requests and streams

    def __init__(self, reader: Any, performer: Any) -> None:
        self._reader = reader
        self._performer = performer
        self._failed = False

    def _error_frame(self, bug: Exception) -> bytes:
        """Return the error frame that ends the stream; raise what isn't the adapter's to hide."""
        performer = self._performer
        if (
            performer is None
            or isinstance(bug, self.library_errors)
            or hasattr(bug, EXTERNAL_ERROR)
            or performer.context.router.settings.on_bug == "raise"
            or not is_adapter_error(bug)
        ):
            raise bug
        self._failed = True
        with suppress(Exception):
            performer.stream_ended("APIError")
        return BUG_FRAME


class Body(_BaseBody):
    """A sync byte stream; `close` finishes the request and closes upstream, once."""

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        try:
            data: bytes | None = None if self._failed else next(self._reader, None)
        except Exception as bug:  # noqa: BLE001  # raised there, if the settings say so
            return self._error_frame(bug)
        if data is None:
            raise StopIteration
        return data

    def close(self) -> None:
        """Close upstream."""
        performer, self._performer = self._performer, None
        if performer is not None:
            try:
                performer.finish()
            except Exception as bug:
                if (
                    hasattr(bug, EXTERNAL_ERROR)
                    or performer.context.router.settings.on_bug == "raise"
                ):
                    raise
                performer.upstream.close()


class AsyncBody(_BaseBody):
    """An async byte stream; `aclose` finishes the request and closes upstream, once."""

    def __init__(self, reader: Any, performer: Any) -> None:
        super().__init__(reader, performer)
        self.finalizer: weakref.finalize[[asyncio.AbstractEventLoop, object], AsyncBody] | None = (
            None
        )

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        try:
            data: bytes | None = None if self._failed else await anext(self._reader, None)
        except Exception as bug:  # noqa: BLE001  # raised there, if the settings say so
            return self._error_frame(bug)
        if data is None:
            raise StopAsyncIteration
        return data

    async def aclose(self) -> None:
        """Close upstream."""
        with suppress(Exception):
            self._reader.closed = True
        performer, self._performer = self._performer, None
        if performer is not None:
            try:
                await performer.finish()
            except Exception as bug:
                if (
                    hasattr(bug, EXTERNAL_ERROR)
                    or performer.context.router.settings.on_bug == "raise"
                ):
                    raise
                await performer.upstream.aclose()
        if self.finalizer is not None:
            self.finalizer.detach()


def keep_until_collected(body: AsyncBody, performer: object) -> None:
    """Keep the performer, with its upstream, until the event loop has finalised an abandoned body.

    A stream that the application leaves without closing it is garbage as a whole, and the event
    loop closes its generators in the order of their age. Upstream's are older than the SDK's,
    since the stream's first events are read before its headers are returned; closed before the
    response is, they would fail ("already running").
    """
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        return  # not asyncio's
    body.finalizer = weakref.finalize(body, _release_in_loop, loop, performer)
    body.finalizer.atexit = False


def _release_in_loop(loop: asyncio.AbstractEventLoop, performer: object) -> None:
    with suppress(RuntimeError):  # the loop is closed
        loop.call_soon_threadsafe(id, performer)  # any function: the call holds the performer


class RequestBody:
    """A request's body that can be released: the HTTP libraries hold it while the reply is open."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def __iter__(self) -> Iterator[bytes]:
        yield self._data

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self._data

    def release(self) -> None:
        """Drop the data, which isn't sent again."""
        self._data = b""


class StreamPerformer(Protocol):
    """What a stream needs of the performer of its request."""

    def truncated_error(self, why: str) -> Exception:
        """Make the exception for a stream that ends before its terminal event."""

    def closed_error(self) -> Exception:
        """Make the exception for a stream that is read after it was closed."""

    @property
    def strict(self) -> bool:
        """Whether the adapter's own bugs are to be raised."""

    def stream_ended(self, error: BaseException | str | None = None) -> None:
        """Record the end before the reader sees it: SDKs 1.x don't close a stream that raises."""


class SyncStreamPerformer(StreamPerformer, Protocol):
    """What a stream needs in sync code."""

    def record_progress(self, translator: StreamTranslator) -> None:
        """Remember a turn that is complete, and record the end, before the reader sees it."""

    def drain(self) -> Exception | None:
        """Read upstream to its end before `[DONE]` is passed on; return its error, if any."""

    def close(self) -> None:
        """Close upstream."""


class AsyncStreamPerformer(StreamPerformer, Protocol):
    """What a stream needs in async code."""

    async def record_progress(self, translator: StreamTranslator) -> None:
        """Remember a turn that is complete, and record the end, before the reader sees it."""

    async def aclose(self) -> None:
        """Close upstream."""


def iter_frames(  # noqa: C901  # one stream, from its first byte to its last
    stream: StreamReply, source: Iterator[bytes], performer: SyncStreamPerformer
) -> Iterator[list[Frame]]:
    """Translate a stream, frame by frame."""
    translator = stream.translator
    first = True
    try:
        if translator.pending_entry is not None or translator.done or stream.first_frames:
            first = False
            try:
                performer.record_progress(translator)
            except Exception:  # the answer is worth more than its record
                if performer.strict:
                    raise
        if translator.close_early:
            performer.close()
        if stream.first_frames:
            yield from _drain_before_done(stream.first_frames, translator, performer.drain)
        if stream.error is not None:
            raise stream.error
        for data in () if translator.close_early else source:
            out = translator.feed(data)
            if translator.pending_entry is not None or translator.done or first:
                first = False
                try:
                    performer.record_progress(translator)
                except Exception:  # as above
                    if performer.strict:
                        raise
            if out:
                if translator.close_early:
                    performer.close()  # before the answer's end: the reader may not read on
                yield from (
                    _drain_before_done(out, translator, performer.drain)
                    if translator.done
                    else (out,)
                )
            if translator.close_early:
                return
        try:
            ending = [] if translator.done else [*translator.close()]
        except StreamTruncated as error:
            raise performer.truncated_error(str(error)) from None
        if ending:
            with suppress(Exception):
                performer.record_progress(translator)
            yield ending
    except Exception as error:
        with suppress(Exception):
            performer.stream_ended(error)
        raise


def _drain_before_done(
    frames: list[Frame], translator: StreamTranslator, drain: Callable[[], Exception | None]
) -> Iterator[list[Frame]]:
    """Yield frames, and `[DONE]` after upstream's end; its error is for readers that read on."""
    if not translator.done or translator.failed or translator.close_early:
        yield frames
        return
    if frames[:-1]:
        yield frames[:-1]
    error = drain()
    yield frames[-1:]
    if error is not None:
        raise error


class AsyncFrameIterator:
    """Translates a stream, frame by frame, asynchronously.

    A class and no async generator: an abandoned one is finalised by the event loop, in a task of
    its own, while the SDK closes the same stream; and a closed one ends as if all had been read.
    """

    __slots__ = (
        "_closed_early",
        "_error",
        "_first_frames",
        "_is_first",
        "_performer",
        "_source",
        "_translator",
        "closed",
    )

    def __init__(
        self, stream: StreamReply, source: AsyncIterator[bytes], performer: AsyncStreamPerformer
    ) -> None:
        self._first_frames = stream.first_frames
        self._error = stream.error
        self._translator = stream.translator
        self._source = source
        self._performer = performer
        self._closed_early = False
        self._is_first = True
        self.closed = False

    def __aiter__(self) -> AsyncIterator[list[Frame]]:
        return self

    async def __anext__(self) -> list[Frame]:
        translator = self._translator
        out: list[Frame] = []
        try:
            if not (
                self._first_frames or self._error is not None or self.closed or translator.done
            ):  # as for most of a stream
                data = await anext(self._source, None)
                if data is not None:  # else `_next_frames` says how it ended
                    out = translator.feed(data)
            if translator.pending_entry is not None:
                await self._record_progress()
            if not out:
                out = await self._next_frames()
        except Exception as error:
            with suppress(Exception):
                self._performer.stream_ended(
                    None if isinstance(error, StopAsyncIteration) else error
                )
            raise
        if translator.done or self._is_first:
            self._is_first = False
            await self._record_progress()
            if translator.close_early and not self._closed_early:
                self._closed_early = True
                # Before the answer's end: the reader may not read on.
                await self._performer.aclose()
        return out

    async def _record_progress(self) -> None:
        try:
            await self._performer.record_progress(self._translator)
        except Exception:  # the answer is worth more than its record
            if self._performer.strict:
                raise

    async def _next_frames(self) -> list[Frame]:
        first, self._first_frames = self._first_frames, []
        if first:
            return first
        if self._error is not None:
            raise self._error
        if self.closed and not self._translator.done:
            raise self._performer.closed_error()
        if self._closed_early:
            raise StopAsyncIteration
        while (data := await anext(self._source, None)) is not None:
            out = self._translator.feed(data)
            if self._translator.pending_entry is not None:
                await self._record_progress()
            if out:
                return out
        await self._performer.aclose()  # at its end, so that its connection can be used again
        try:
            ending = [] if self._translator.done else [*self._translator.close()]
        except StreamTruncated as error:
            raise self._performer.truncated_error(str(error)) from None
        if ending:
            return ending
        raise StopAsyncIteration
