"""The client door's streams: the SDK's own, reading a translated reply chunk by chunk and not by way of bytes.

Plain chunks are built by own_chunks.py; the SDK's reader builds only what is out of the ordinary (usage, errors, logprobs, `[DONE]`). It
comes in with the first event that is its own, and stays, suspended between two of those: it raises, drains and closes as it always does.

A stream of the SDK's holds its reader, which holds the stream: one that is left by a bare `break` stays open until the garbage is
collected, wherever a thread is by then. In the midst of httpcore's own book-keeping, which may be entered twice, that loses a
connection (httpcore2 2.16), or waits for ever (httpcore 1.0). Ours reads by way of a twin, and is closed where it is dropped.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING, Any

import openai
from openai.types.chat import ChatCompletionChunk

from .frames import READER, AFrames, Frames
from .own_chunks import Building

if TYPE_CHECKING:
    _Stream = openai.Stream[ChatCompletionChunk]
    _AsyncStream = openai.AsyncStream[ChatCompletionChunk]
else:
    _Stream, _AsyncStream = openai.Stream[ChatCompletionChunk], openai.AsyncStream[ChatCompletionChunk]

# Older SDKs' readers leave a stream open where it raises, and let the HTTP library's errors through: there the SDK reads everything itself.
SUPPORTED = tuple(int(part) for part in openai.VERSION.split(".")[:2] if part.isdecimal()) >= (3, 0)
"""Tells whether the installed SDK's reader is one that can be helped."""


def _frames(response: Any) -> Any:
    """Return the frames that a reply is made of; None where it has none, or somebody has read or closed it already."""
    if response.is_closed or response.is_stream_consumed:
        return None
    return response.extensions.get(READER)


def _twin(stream: Any) -> Any:
    """Return a stream like this one, that the SDK's reader may hold: this one holds the reader."""
    twin = object.__new__(type(stream))
    twin.__dict__.update(stream.__dict__)
    return twin


class ChatStream(_Stream):
    """The SDK's stream of chunks, whose plain chunks are built here."""

    def __stream__(self) -> Iterator[ChatCompletionChunk]:
        return _twin(self)._read()  # type: ignore[no-any-return]

    def _by_sdk(self) -> Any:
        """Let the SDK's own reader read on, as if it had from the first byte: a stream that was closed since fails where it is read."""
        self.response.is_stream_consumed = self.response.is_closed = False
        return super().__stream__()

    def _read(self) -> Iterator[ChatCompletionChunk]:
        frames: Frames | None = _frames(self.response)
        if frames is None:
            yield from super().__stream__()
            return
        self.response.is_stream_consumed = True
        build = Building().chunk
        reading: Any = None
        made: list[ChatCompletionChunk] = []
        try:
            while (batch := frames.chunks()) is not None:
                batch.reverse()
                while batch:
                    if (one := build(frame := batch.pop())) is None:
                        frames.put_back(frame)
                        reading = reading or self._by_sdk()
                        if (one := next(reading, None)) is None:
                            return
                    made.append(one)
                    del one, frame  # while it waits, a stream holds nothing of what it gave
                    yield made.pop()
            yield from reading or self._by_sdk()
        finally:
            if reading is not None:
                reading.close()
            self.response.close()


class AsyncChatStream(_AsyncStream):
    """The SDK's async stream of chunks, whose plain chunks are built here."""

    def __stream__(self) -> AsyncIterator[ChatCompletionChunk]:
        return _twin(self)._read()  # type: ignore[no-any-return]

    def _by_sdk(self) -> Any:
        """Let the SDK's own reader read on. See ChatStream."""
        self.response.is_stream_consumed = self.response.is_closed = False
        return super().__stream__()

    async def _read(self) -> AsyncIterator[ChatCompletionChunk]:
        frames: AFrames | None = _frames(self.response)
        if frames is None:
            async for chunk in super().__stream__():
                yield chunk
            return
        self.response.is_stream_consumed = True
        build = Building().chunk
        reading: Any = None
        made: list[ChatCompletionChunk] = []
        try:
            while (reading_on := frames.chunks()) is not None:
                try:
                    batch = await reading_on
                except StopAsyncIteration:
                    break
                except Exception as error:  # noqa: BLE001  # the SDK's own reader raises it
                    frames.failed(error)
                    break
                del reading_on
                batch.reverse()
                while batch:
                    if (one := build(frame := batch.pop())) is None:
                        frames.put_back(frame)
                        reading = reading or self._by_sdk()
                        if (one := await anext(reading, None)) is None:
                            return
                    made.append(one)
                    del one, frame
                    yield made.pop()
            async for chunk in reading or self._by_sdk():
                yield chunk
        finally:
            await self.response.aclose()
