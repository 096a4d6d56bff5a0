"""The client door's streams: the SDK's own, reading a translated reply chunk by chunk and not by way of bytes.

The SDK's reader spends most of its time on building a chunk field by field. Here it builds only what is out of the ordinary (usage,
errors, logprobs, `[DONE]`); the others are validated by Pydantic, which gives equal objects: their values have the types of the
fields, so that there is nothing to coerce. The SDK's reader comes in with the first event that is its own, and stays,
suspended between two of those: it raises, drains and closes as it always does.

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


_CHOICE = frozenset({"index", "delta", "logprobs", "finish_reason"})
_OPENING = frozenset({"role", "content", "refusal"})
_CALL = frozenset({"index", "id", "type", "function"})
_FUNCTION = frozenset({"name", "arguments"})


def _is_plain(chunk: dict[str, Any]) -> bool:
    """Tell whether a chunk is nothing but a piece of text or of a function's arguments, the first one of an answer, or its finish."""
    choices = chunk["choices"]
    if len(choices) != 1 or not choices[0].keys() <= _CHOICE or choices[0].get("logprobs") is not None:
        return False
    delta = choices[0]["delta"]
    calls = delta.get("tool_calls")
    if calls is None:
        plain: bool = delta.keys() <= _OPENING
        return plain
    return len(delta) == 1 and calls[0].keys() <= _CALL and calls[0].get("function", {}).keys() <= _FUNCTION


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
        known = self._known
        if known is None or frame["choices"][0]["finish_reason"] is not None:
            # All plain chunks of a stream have the same keys, but for the padding; the last may have more.
            known = self._known = frame.keys() <= ChatCompletionChunk.model_fields.keys()
        if known:
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
        build = _Building().chunk
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
        build = _Building().chunk
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
