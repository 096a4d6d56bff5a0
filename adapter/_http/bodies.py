"""Byte streams of the HTTP libraries: the body of a translated reply, and that of a request.

`close` is passed on: it finishes the request and closes upstream, once
(docs/mapping.md#http-duties).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

from adapter._runtime.stream_iterators import AsyncStreamIterator, StreamIterator


class Body:
    """The body of a translated reply, in sync code."""

    def __init__(self, iterator: StreamIterator) -> None:
        self.iterator = iterator

    def __iter__(self) -> Iterator[bytes]:
        return self.iterator

    def close(self) -> None:
        """Close the stream."""
        self.iterator.close()


class AsyncBody:
    """The body of a translated reply, in async code."""

    def __init__(self, iterator: AsyncStreamIterator) -> None:
        self.iterator = iterator

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self.iterator

    async def aclose(self) -> None:
        """Close the stream."""
        await self.iterator.close()


def frames_of(response: Any) -> Any:
    """Return the iterator of the frames that a reply's body is made of; None if it has none."""
    iterator = getattr(getattr(response, "_body", None), "iterator", None)
    return iterator if iterator is not None and iterator.has_frames else None


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
