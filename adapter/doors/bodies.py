"""Reply bodies made by a door: byte streams that resume, and that pass `close` on.

The SDK iterates a body a second time to drain it after `[DONE]` (MAPPING §9.3): iteration goes on where it stopped.
Reading on after `[DONE]` reads upstream to its end, so that a connection can be used again, as it is with Chat's own
streams.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator
from contextlib import suppress

from adapter.errors import StreamTruncated
from adapter.exchange import Streamed


class Body:
    """A sync byte stream over a pump; `close` closes upstream, once."""

    def __init__(self, pump: Iterator[bytes], close: Callable[[], None]) -> None:
        self._pump = pump
        self._close: Callable[[], None] | None = close

    def __iter__(self) -> Iterator[bytes]:
        return self._pump

    def close(self) -> None:
        """Close upstream."""
        close, self._close = self._close, None
        if close is not None:
            close()


class AsyncBody:
    """An async byte stream over a pump; `aclose` closes upstream, once."""

    def __init__(self, pump: AsyncIterator[bytes], close: Callable[[], Awaitable[None]]) -> None:
        self._pump = pump
        self._close: Callable[[], Awaitable[None]] | None = close

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._pump

    async def aclose(self) -> None:
        """Close upstream."""
        close, self._close = self._close, None
        if close is not None:
            await close()
            await aclose(self._pump)


async def aclose(iterator: AsyncIterator[bytes]) -> None:
    """Close an async generator here and now; left to the garbage collector, it would outlive its event loop."""
    if isinstance(iterator, AsyncGenerator):
        with suppress(RuntimeError):  # it is being iterated by another task, which will find upstream closed
            await iterator.aclose()


def pump(stream: Streamed, source: Iterator[bytes], truncated: Callable[[str], Exception]) -> Iterator[bytes]:
    """Relay a stream; `truncated` makes the exception for one that ends before its terminal event."""
    if stream.begun:
        yield stream.begun
    if stream.error is not None:
        raise stream.error
    relay = stream.relay
    for data in source:
        out = relay.feed(data)
        if out:
            yield out
    try:
        relay.close()
    except StreamTruncated as error:
        raise truncated(str(error)) from None


async def apump(
    stream: Streamed, source: AsyncIterator[bytes], truncated: Callable[[str], Exception]
) -> AsyncIterator[bytes]:
    """Relay a stream, asynchronously."""
    if stream.begun:
        yield stream.begun
    if stream.error is not None:
        raise stream.error
    relay = stream.relay
    async for data in source:
        out = relay.feed(data)
        if out:
            yield out
    try:
        relay.close()
    except StreamTruncated as error:
        raise truncated(str(error)) from None


def once(data: bytes) -> Iterator[bytes]:
    """Give a whole body in one piece."""
    yield data


async def aonce(data: bytes) -> AsyncIterator[bytes]:
    """Give a whole body in one piece, asynchronously."""
    yield data
