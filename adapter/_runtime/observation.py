"""Observing replies: when the first piece came, how the reply ended, its usage.

Only with observers (docs/decisions.md#records); then replies that pass untouched are observed as
well, and stay the same byte for byte.
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

from .call_context import CallContext

_MAX_JSON = 8 << 20
_TAIL_BYTES = 64 << 10  # of a stream: the usage is in one of its last chunks


class ReplyObserver:
    """Observes one request's reply, and notifies the observers when the call has ended.

    A call of an adapted client ends with the client's, which may retry; any other with its request.
    """

    def __init__(self, context: CallContext, request: Any) -> None:
        self._context = context
        self._request = request
        self.status: int | None = None
        self.first_piece_at: float | None = None
        self.error: BaseException | str | None = None
        self.usage: Callable[[], Any] = context.state.usage

    def add_piece(self, data: Any) -> None:
        """Record the time of the first piece that isn't empty."""
        if self.first_piece_at is None and data:
            self.first_piece_at = time.perf_counter()

    def add_whole_reply(self, reply: Any) -> None:
        """Observe a reply that was read before, and finish."""
        extractor = UsageExtractor(reply.headers)
        with suppress(Exception):  # closed without being read
            self.add_piece(reply.content)
            extractor.feed(reply.content)
        self.usage = extractor.usage
        self.finish()

    def finish(self) -> None:
        """Notify the observers, unless the client may retry the call and does it itself."""
        failed = self.status is None or self.status >= 400
        if not (failed and self._context.by_client):
            notify(
                self._context,
                self._request,
                status=self.status,
                error=self.error,
                first_piece_at=self.first_piece_at,
                usage=self.usage,
            )

    def stream_ended(self, error: BaseException | str | None) -> None:
        """Finish with a stream whose end is known."""
        self.error = error or self.error
        if self.first_piece_at is None and self.error is None:
            self.first_piece_at = time.perf_counter()  # it came in one piece
        self.finish()

    def failed(self, error: BaseException) -> None:
        """Finish with a request that got no reply."""
        self.status, self.error = None, error
        self.finish()


def notify(
    context: CallContext,
    request: Any,
    *,
    status: int | None,
    error: BaseException | str | None = None,
    first_piece_at: float | None = None,
    usage: Callable[[], Any] = lambda: None,
) -> None:
    """Notify the observers of a call, once."""
    observers = context.router.observers
    if context.observed or not observers:
        return
    context.observed = True
    with suppress(Exception):  # a call is never lost for a record (docs/decisions.md#promises)
        decision = context.state.decision()
        if decision is None:
            return
        request = request if request is not None else _request_of(error)
        body = _body_of(request)
        model = context.state.model or body.get("model")
        record = Record.of(
            decision,
            latency=time.perf_counter() - context.started,
            first_token=None if first_piece_at is None else first_piece_at - context.started,
            model=model if isinstance(model, str) else None,
            tag=context.overrides.tag,
            stream=body.get("stream") is True,
            azure=request is not None and is_azure(request.url.host, request.url.raw_path),
            status=status,
            error=error,
            usage=usage(),
        )
        observers.notify(record)


def _request_of(error: BaseException | str | None) -> Any:
    with suppress(Exception):  # the HTTP libraries' errors raise if they have no request
        return error.request  # type: ignore[union-attr]
    return None


def _body_of(request: Any) -> dict[str, Any]:
    with suppress(Exception):  # a body that is a stream or isn't JSON
        body = json_codec.loads(request.content)
        if isinstance(body, dict):
            return body
    return {}


class UsageExtractor:
    """Finds the usage in the bytes of a Chat reply as they pass, compressed or not."""

    def __init__(self, headers: Any) -> None:
        self._streamed = headers.get("content-type", "").startswith("text/event-stream")
        encoding = headers.get("content-encoding", "").strip().lower()
        self._inflate = zlib.decompressobj(47) if encoding in ("gzip", "deflate") else None
        self._unreadable = encoding not in ("", "identity", "gzip", "deflate")
        self._buffer = bytearray()

    def feed(self, data: bytes) -> None:
        """Take the next bytes of the reply."""
        if self._unreadable:
            return
        try:
            self._buffer += (
                data if self._inflate is None else self._inflate.decompress(data, _MAX_JSON)
            )
        except zlib.error:
            self._unreadable = True
        if self._streamed:
            del self._buffer[: -_TAIL_BYTES or None]
        elif len(self._buffer) > _MAX_JSON:
            self._unreadable = True

    def usage(self) -> Any:
        """Return the usage; None if there was none."""
        if self._unreadable:
            return None
        found = None
        if not self._streamed:
            with suppress(ValueError):
                found = json_codec.loads(bytes(self._buffer))
            return found.get("usage") if isinstance(found, dict) else None
        for event in sse.Decoder().feed(bytes(self._buffer)):
            with suppress(ValueError):
                chunk = json_codec.loads(event.data)
                found = (chunk.get("usage") if isinstance(chunk, dict) else None) or found
        return found


class ObservedStream:
    """A reply's own byte stream, sync or async, passed on unchanged and observed."""

    def __init__(self, stream: Any, observer: ReplyObserver, headers: Any) -> None:
        self._stream = stream
        self._observer = observer
        self._extractor = UsageExtractor(headers)
        observer.usage = self._extractor.usage

    def _observe(self, data: bytes) -> bytes:
        with suppress(Exception):  # the reply is worth more than its record
            self._observer.add_piece(data)
            self._extractor.feed(data)
        return data

    def __iter__(self) -> Iterator[bytes]:
        try:
            for data in self._stream:
                yield self._observe(data)
        except Exception as error:
            self._observer.error = error
            raise

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for data in self._stream:
                yield self._observe(data)
        except Exception as error:
            self._observer.error = error
            raise

    def close(self) -> None:
        """Close the stream, and notify the observers."""
        try:
            self._stream.close()
        finally:
            with suppress(Exception):
                self._observer.finish()

    async def aclose(self) -> None:
        """Close the stream, and notify the observers."""
        try:
            await self._stream.aclose()
        finally:
            with suppress(Exception):
                self._observer.finish()
