"""Observing replies that pass untouched; they stay the same byte for byte.

See docs/decisions.md#records.
"""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from typing import Any

from adapter._runtime.observation import ReplyObserver
from adapter._util import json_codec, sse

_MAX_JSON = 8 << 20
_TAIL_BYTES = 64 << 10  # of a stream: the usage is in one of its last chunks


def observe_read(reply: Any, observer: ReplyObserver) -> None:
    """Observe a reply that was read before, and finish."""
    extractor = UsageExtractor(reply.headers)
    with suppress(Exception):  # closed without being read
        observer.add_piece(reply.content)
        extractor.feed(reply.content)
    observer.usage = extractor.usage
    observer.finish()


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
