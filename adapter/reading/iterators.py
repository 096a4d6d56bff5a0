"""Iterators of events over a source stream, which they close in every case."""

from __future__ import annotations

import inspect
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Callable,
    Generator,
    Iterable,
    Iterator,
)
from functools import partial
from types import TracebackType
from typing import Any, Generic, Self

from adapter.errors import MalformedReply, StreamTruncated
from adapter.translation.json_types import json_type
from adapter.translation.replies.errors import event_failure

from . import errors
from .accumulator import AnswerAccumulator, EventList
from .chat import ChatReader
from .events import Event
from .responses import ResponsesReader
from .sdk_objects import as_json, fields
from .turn import T


class StreamDetector:
    """Detect the API of a stream by its first items, then feed that API's reader."""

    def __init__(self, answer: AnswerAccumulator, *, json_format: bool) -> None:
        self._answer = answer
        self._json_format = json_format
        self._reader: ChatReader | ResponsesReader | None = None
        self.feed: Callable[[Any], EventList] = self._detect

    def _detect(self, item: Any) -> EventList:
        top = fields(item)
        kind = top.get("type")
        if "choices" in top or kind == "chunk":
            self._reader = ChatReader(self._answer)
        elif isinstance(kind, str) and (kind.startswith("response.") or kind == "error"):
            self._reader = ResponsesReader(self._answer, json_format=self._json_format)
        elif top.get("error"):
            raise event_failure({"error": as_json(top["error"])})
        elif not top:
            raise MalformedReply("$", f"expected a chunk or an event, got {json_type(item)}")
        else:
            return []  # a ping, or something else that servers send before the first event
        self.feed = self._reader.feed
        return self.feed(item)

    def close(self) -> EventList:
        """End the stream; return the remaining events."""
        if self._reader is None:
            raise StreamTruncated("$", "the stream ended before its first event")
        return self._reader.close()


def _is_done(item: Any) -> bool:
    return isinstance(item, str) and item.startswith("[DONE]")


class Events(Iterator[Event[T]], Generic[T]):
    """The events of a sync stream: an iterator and a context manager.

    The source is closed by `close()`, by the end of the `with` block or of the stream, by an
    exception, and when an unfinished iterator is garbage-collected.
    """

    def __init__(self, source: Iterable[Any], reader: StreamDetector) -> None:
        self._source = source
        self._events: Any = _run(source, reader)  # typing has no name for `gi_running`

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Event[T]:
        event: Event[T] = next(self._events)
        return event

    def close(self) -> None:
        """Stop reading and close the source. May be called again."""
        # If another thread is reading, closing the source ends its read.
        if not self._events.gi_running:
            self._events.close()
        _close(self._source)  # a generator that hasn't started doesn't close it

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def _run(source: Iterable[Any], reader: StreamDetector) -> Generator[Event[Any], None, None]:
    convert = partial(errors.stream_error, request=errors.request_of(source))
    try:
        with errors.raised_as(convert):
            for item in source:
                if _is_done(item):
                    break
                yield from reader.feed(item)
            yield from reader.close()
    finally:
        _close(source)


def _close(source: Any) -> None:
    close = getattr(source, "close", None)
    if callable(close):
        close()


class AsyncEvents(AsyncIterator[Event[T]], Generic[T]):
    """The events of an async stream: an async iterator and context manager.

    The source is closed by `aclose()`, by the end of the `async with` block or of the stream, and
    by an exception.
    """

    def __init__(self, source: AsyncIterable[Any], reader: StreamDetector) -> None:
        self._source = source
        self._events: Any = _arun(source, reader)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event[T]:
        event: Event[T] = await anext(self._events)
        return event

    async def aclose(self) -> None:
        """Stop reading and close the source. May be called again."""
        # If another task is reading, closing the source ends its read.
        if not self._events.ag_running:
            await self._events.aclose()
        await _aclose(self._source)

    async def close(self) -> None:
        """Call `aclose`; the SDK's async streams call it `close`."""
        await self.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()


async def _arun(
    source: AsyncIterable[Any], reader: StreamDetector
) -> AsyncGenerator[Event[Any], None]:
    convert = partial(errors.stream_error, request=errors.request_of(source))
    try:
        with errors.raised_as(convert):
            async for item in source:
                if _is_done(item):
                    break
                for event in reader.feed(item):
                    yield event
            for event in reader.close():
                yield event
    finally:
        await _aclose(source)


async def _aclose(source: Any) -> None:
    # The SDK's async streams have an async `close`, async generators an `aclose`.
    close = getattr(source, "aclose", None) or getattr(source, "close", None)
    closing = close() if callable(close) else None
    if inspect.isawaitable(closing):
        await closing
