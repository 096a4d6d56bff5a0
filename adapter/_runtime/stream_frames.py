"""A translated stream as its reader takes it: as chunks, by a stream of our own clients, or as bytes, by anybody.

Both read the same relay, and may take turns: what isn't a plain chunk (an error, `[DONE]`, a broken connection) one of our streams
puts back, and lets the SDK's own reader read it as bytes, so that the SDK raises and closes as it always does.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Iterator
from contextlib import suppress
from typing import Any

from adapter._exchange.stream import Frame, StreamTranslator
from adapter._http.bodies import StreamPerformer


class _BaseFrameReader:
    """What the sync and the async reader share. The trip is told of a chunk that can't be written."""

    __slots__ = ("_error", "_performer", "_returned", "_source", "_translator")

    def __init__(
        self, translator: StreamTranslator, source: Any, performer: StreamPerformer
    ) -> None:
        self._translator = translator
        self._source = source
        self._performer = performer
        self._returned: list[Frame] = []
        self._error: Exception | None = None

    def put_back(self, frame: Frame) -> None:
        """Let this frame be the next that is read as bytes."""
        self._returned.append(frame)

    def _as_bytes(self, frames: list[Frame]) -> bytes:
        broken = self._translator.failed
        data = self._translator.encode(frames)
        if self._translator.failed and not broken:
            with suppress(Exception):
                self._performer.stream_ended(
                    "APIError"
                )  # what the SDK makes of the error that stands there now
        return data

    def _pending_bytes(self) -> bytes | None:
        """Give what was put back, or raise what was kept; None where there is neither."""
        if self._returned:
            rest, self._returned = self._returned, []
            return self._as_bytes(rest)
        if self._error is not None:
            error, self._error = self._error, None
            try:
                raise error
            finally:
                del error
        self._translator.as_bytes = True
        return None


def frame_reader_of(response: Any) -> Any:
    """Return the frames that a reply's body is made of; None where it has none."""
    found = getattr(getattr(response, "_body", None), "_reader", None)
    return found if isinstance(found, _BaseFrameReader) else None


class FrameReader(_BaseFrameReader):
    """A stream's frames, in sync code: an iterator of bytes, beside `chunks`."""

    __slots__ = ()

    def next_frames(self) -> list[Frame] | None:
        """Read on; None where nothing but bytes will do: at the end, and where reading failed."""
        if self._returned or self._error is not None:
            return None
        self._translator.as_bytes = False
        try:
            frames: list[Frame] | None = next(self._source, None)
        except Exception as error:  # noqa: BLE001  # the SDK's own reader raises it
            self._error = error
            return None
        return frames

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        kept = self._pending_bytes()
        return self._as_bytes(next(self._source)) if kept is None else kept


class AsyncFrameReader(_BaseFrameReader):
    """A stream's frames, in async code: an async iterator of bytes, beside `chunks`. `closed` goes through to the source."""

    __slots__ = ()

    @property
    def closed(self) -> bool:
        """Tell whether the stream was closed."""
        return bool(self._source.closed)

    @closed.setter
    def closed(self, value: bool) -> None:
        self._source.closed = value

    def next_frames(self) -> Awaitable[list[Frame]] | None:
        """Read on; None where nothing but bytes will do: at the end, and where reading failed. What it raises is for `failed`."""
        if self._returned or self._error is not None:
            return None
        self._translator.as_bytes = False
        read: Awaitable[list[Frame]] = self._source.__anext__()
        return read

    def set_error(self, error: Exception) -> None:
        """Let the SDK's own reader raise this."""
        self._error = error

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        kept = self._pending_bytes()
        return self._as_bytes(await self._source.__anext__()) if kept is None else kept
