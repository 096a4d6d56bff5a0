"""The client door's streams: the SDK's own, reading a translated reply chunk by chunk and not by way of bytes.

The SDK's reader spends most of its time on building a chunk field by field. Here it builds only what is out of the ordinary (the first
chunk, the last, errors, `[DONE]`); the deltas between them are validated by Pydantic, which gives equal objects: their values have
the types of the fields, so that there is nothing to coerce. The SDK's reader is under way all the time, suspended between two
events: it raises, drains and closes as it always does.

A stream of the SDK's holds its reader, which holds the stream: one that is left by a bare `break` stays open until the garbage is
collected, wherever a thread is by then. In the midst of httpcore's own book-keeping, which may be entered twice, that loses a
connection (httpcore2 2.16), or waits for ever (httpcore 1.0). Ours reads by way of a twin, and is closed where it is dropped.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from functools import cache
from typing import TYPE_CHECKING, Any

import openai
from openai.types.chat import ChatCompletionChunk

from .frames import READER, AFrames, Frames

if TYPE_CHECKING:
    _Stream = openai.Stream[ChatCompletionChunk]
    _AsyncStream = openai.AsyncStream[ChatCompletionChunk]
else:
    _Stream, _AsyncStream = openai.Stream[ChatCompletionChunk], openai.AsyncStream[ChatCompletionChunk]

# Older SDKs' readers leave a stream open where it raises, and let the HTTP library's errors through: there the SDK reads everything itself.
SUPPORTED = tuple(int(part) for part in openai.VERSION.split(".")[:2] if part.isdecimal()) >= (3, 0)
"""Tells whether the installed SDK's reader is one that can be helped."""

_PADDING_IS_KNOWN = (
    "obfuscation" in ChatCompletionChunk.model_fields
)  # since 3.x some time; before, it is an extra field


@cache
def _builder() -> Callable[[Any], ChatCompletionChunk]:
    """Return what builds a chunk of a plain delta."""
    ChatCompletionChunk.model_rebuild()  # the SDK's models are made complete when they are first used
    build: Callable[[Any], ChatCompletionChunk] = ChatCompletionChunk.__pydantic_validator__.validate_python
    return build


def _is_plain(chunk: dict[str, Any]) -> bool:
    """Tell whether a chunk is nothing but one piece of text or of a function's arguments."""
    choices = chunk["choices"]
    if len(choices) != 1 or choices[0]["finish_reason"] is not None or choices[0].get("logprobs") is not None:
        return False
    delta = choices[0]["delta"]
    if len(delta) != 1:
        return False
    if "content" in delta or "refusal" in delta:
        return True
    calls = delta.get("tool_calls")
    return calls is not None and len(calls[0]) == 2 and "function" in calls[0]


class _Building:
    """Build the plain chunks of one stream; None where the SDK is to do it."""

    __slots__ = ("_build", "_known")

    def __init__(self) -> None:
        self._build = _builder()
        self._known: bool | None = None

    def chunk(self, frame: Any) -> ChatCompletionChunk | None:
        """Build a chunk."""
        if type(frame) is bytes or not _is_plain(frame) or self._known is False:
            return None
        padding = None if _PADDING_IS_KNOWN else frame.pop("obfuscation", None)
        if self._known is None:  # all plain chunks of a stream have the same keys, but for the padding
            self._known = frame.keys() <= ChatCompletionChunk.model_fields.keys()
        if self._known:
            try:
                made = self._build(frame)
            except ValueError:  # Pydantic's own is one: the SDK takes what doesn't validate as well
                pass
            else:
                if padding is not None:
                    made.__pydantic_extra__["obfuscation"] = padding  # type: ignore[index]  # extras are allowed
                return made
        if padding is not None:
            frame["obfuscation"] = padding
        return None


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

    def _read(self) -> Iterator[ChatCompletionChunk]:
        reading = super().__stream__()
        frames: Frames | None = _frames(self.response)
        if frames is None:
            yield from reading
            return
        build = _Building().chunk
        try:
            while (batch := frames.chunks()) is not None:
                for frame in batch:
                    made = build(frame)
                    if made is None:
                        frames.put_back(frame)
                        try:
                            made = next(reading)
                        except StopIteration:
                            return
                    yield made
            yield from reading
        finally:
            reading.close()  # type: ignore[attr-defined]  # a generator


class AsyncChatStream(_AsyncStream):
    """The SDK's async stream of chunks, whose plain chunks are built here."""

    def __stream__(self) -> AsyncIterator[ChatCompletionChunk]:
        return _twin(self)._read()  # type: ignore[no-any-return]

    async def _read(self) -> AsyncIterator[ChatCompletionChunk]:
        reading = super().__stream__()
        frames: AFrames | None = _frames(self.response)
        if frames is None:
            async for chunk in reading:
                yield chunk
            return
        build = _Building().chunk
        try:
            while (reading_on := frames.chunks()) is not None:
                try:
                    batch = await reading_on
                except StopAsyncIteration:
                    break
                except Exception as error:  # noqa: BLE001  # the SDK's own reader raises it
                    frames.failed(error)
                    break
                for frame in batch:
                    made = build(frame)
                    if made is None:
                        frames.put_back(frame)
                        try:
                            made = await anext(reading)
                        except StopAsyncIteration:
                            return
                    yield made
            async for chunk in reading:
                yield chunk
        finally:
            await self.response.aclose()
