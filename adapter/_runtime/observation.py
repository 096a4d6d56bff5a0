"""What observers are told of a reply that passes through a door: when its first piece came, how it ended, what it cost.

Only where there are observers; then a reply that passes untouched is looked at as well, byte for byte unchanged.
"""

from __future__ import annotations

import time
import zlib
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from typing import Any

from adapter._exchange.endpoints import is_azure
from adapter._util import json_codec, sse
from adapter.telemetry.record import Record

from .call_context import Ticket

_MOST_JSON = 8 << 20
_TAIL = 64 << 10  # of a stream: the chunk with the usage is among its last


class Watch:
    """Watch one request's reply, and tell the observers of the call when it has ended.

    A call of one of our own clients ends when the client's does (it may try again); any other with its one request.
    """

    def __init__(self, ticket: Ticket, request: Any) -> None:
        self._ticket = ticket
        self._request = request
        self.status: int | None = None
        self.first: float | None = None
        self.error: BaseException | str | None = None
        self.usage: Callable[[], Any] = ticket.journal.usage

    def piece(self, data: Any) -> None:
        """Take note of a piece of the reply."""
        if self.first is None and data:
            self.first = time.perf_counter()

    def whole(self, reply: Any) -> None:
        """Take a reply that has been read already, and tell of the call."""
        gleaner = Gleaner(reply.headers)
        with suppress(Exception):  # promise 9: closed, and never read
            self.piece(reply.content)
            gleaner.feed(reply.content)
        self.usage = gleaner.usage
        self.end()

    def end(self) -> None:
        """Tell of the call, unless its client will try again, or tell of it itself."""
        failed = self.status is None or self.status >= 400
        if not (failed and self._ticket.by_client):
            tell(self._ticket, self._request, status=self.status, error=self.error, first=self.first, usage=self.usage)

    def over(self, error: BaseException | str | None) -> None:
        """Tell of a stream whose end is known."""
        self.error = error or self.error
        if self.first is None and self.error is None:
            self.first = time.perf_counter()  # it came in one piece, which is about to go up
        self.end()

    def fail(self, error: BaseException) -> None:
        """Tell of a request that brought no reply."""
        self.status, self.error = None, error
        self.end()


def tell(
    ticket: Ticket,
    request: Any,
    *,
    status: int | None,
    error: BaseException | str | None = None,
    first: float | None = None,
    usage: Callable[[], Any] = lambda: None,
) -> None:
    """Tell the observers of a call, once."""
    observers = ticket.router.observers
    if ticket.told or not observers:
        return
    ticket.told = True
    with suppress(Exception):  # promise 9: a call is not lost for its record
        decision = ticket.journal.decision()
        if decision is None:
            return
        request = request if request is not None else _request_of(error)
        asked = _asked(request)
        model = ticket.journal.model or asked.get("model")
        record = Record.of(
            decision,
            latency=time.perf_counter() - ticket.started,
            first_token=None if first is None else first - ticket.started,
            model=model if isinstance(model, str) else None,
            tag=ticket.overrides.tag,
            stream=asked.get("stream") is True,
            azure=request is not None and is_azure(request.url.host, request.url.raw_path),
            status=status,
            error=error,
            usage=usage(),
        )
        observers.tell(record)


def _request_of(error: BaseException | str | None) -> Any:
    with suppress(Exception):  # the HTTP libraries' own errors raise where they have none
        return error.request  # type: ignore[union-attr]
    return None


def _asked(request: Any) -> dict[str, Any]:
    with suppress(Exception):  # a body that is a stream, or no JSON
        body = json_codec.loads(request.content)
        if isinstance(body, dict):
            return body
    return {}


class Gleaner:
    """Find the usage in the bytes of a Chat reply as they pass, compressed or not."""

    def __init__(self, headers: Any) -> None:
        self._streamed = headers.get("content-type", "").startswith("text/event-stream")
        encoding = headers.get("content-encoding", "").strip().lower()
        self._inflate = zlib.decompressobj(47) if encoding in ("gzip", "deflate") else None
        self._lost = encoding not in ("", "identity", "gzip", "deflate")
        self._kept = bytearray()

    def feed(self, data: bytes) -> None:
        """Take the next bytes."""
        if self._lost:
            return
        try:
            self._kept += data if self._inflate is None else self._inflate.decompress(data, _MOST_JSON)
        except zlib.error:
            self._lost = True
        if self._streamed:
            del self._kept[: -_TAIL or None]
        elif len(self._kept) > _MOST_JSON:
            self._lost = True

    def usage(self) -> Any:
        """Return the usage, or None where none was seen."""
        if self._lost:
            return None
        found = None
        if not self._streamed:
            with suppress(ValueError):
                found = json_codec.loads(bytes(self._kept))
            return found.get("usage") if isinstance(found, dict) else None
        for event in sse.Decoder().feed(bytes(self._kept)):
            with suppress(ValueError):
                chunk = json_codec.loads(event.data)
                found = (chunk.get("usage") if isinstance(chunk, dict) else None) or found
        return found


class Passing:
    """A reply's own byte stream, sync or async, passed on as it is and looked at on the way."""

    def __init__(self, stream: Any, watch: Watch, headers: Any) -> None:
        self._stream = stream
        self._watch = watch
        self._gleaner = Gleaner(headers)
        watch.usage = self._gleaner.usage

    def _see(self, data: bytes) -> bytes:
        with suppress(Exception):  # what passes is worth more than what is known of it
            self._watch.piece(data)
            self._gleaner.feed(data)
        return data

    def __iter__(self) -> Iterator[bytes]:
        try:
            for data in self._stream:
                yield self._see(data)
        except Exception as error:
            self._watch.error = error
            raise

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for data in self._stream:
                yield self._see(data)
        except Exception as error:
            self._watch.error = error
            raise

    def close(self) -> None:
        """Close the stream, and tell of the call."""
        try:
            self._stream.close()
        finally:
            with suppress(Exception):
                self._watch.end()

    async def aclose(self) -> None:
        """Close the stream, and tell of the call."""
        try:
            await self._stream.aclose()
        finally:
            with suppress(Exception):
                self._watch.end()
