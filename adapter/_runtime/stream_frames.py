"""A translated stream as its reader takes it: as frames, or as bytes.

An adapted client's stream reads frames, every other reader bytes. Both may take turns on one
stream: a frame that isn't a plain chunk (an error, `[DONE]`) is put back by the adapted client's
stream and read as bytes by the SDK's own reader, so that the SDK raises and closes as it always
does.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Iterator
from contextlib import suppress
from typing import Any

from adapter._exchange.stream import Frame, StreamTranslator
from adapter._http.bodies import StreamPerformer


class _BaseFrameReader:
    """What the sync and the async reader share."""

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
        """Let a frame be the next that is read as bytes."""
        self._returned.append(frame)

    def _as_bytes(self, frames: list[Frame]) -> bytes:
        failed_before = self._translator.failed
        data = self._translator.encode(frames)
        if self._translator.failed and not failed_before:  # a chunk that can't be written
            with suppress(Exception):
                self._performer.stream_ended("APIError")  # which the SDK raises
        return data

    def _pending_bytes(self) -> bytes | None:
        """Return the bytes of what was put back, or raise the kept error; None without either."""
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
    """Return the reader of the frames that a reply's body is made of; None if it has none."""
    found = getattr(getattr(response, "_body", None), "_reader", None)
    return found if isinstance(found, _BaseFrameReader) else None


class FrameReader(_BaseFrameReader):
    """Reads a stream in sync code: an iterator of bytes, or frames by `next_frames`."""

    __slots__ = ()

    def next_frames(self) -> list[Frame] | None:
        """Return the next frames; None if the rest (the end, an error) must be read as bytes."""
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
    """Reads a stream in async code: an async iterator of bytes, or frames by `next_frames`."""

    __slots__ = ()

    @property
    def closed(self) -> bool:
        """Whether the stream was closed."""
        return bool(self._source.closed)

    @closed.setter
    def closed(self, value: bool) -> None:
        self._source.closed = value

    def next_frames(self) -> Awaitable[list[Frame]] | None:
        """Return an awaitable of the next frames; None if the rest must be read as bytes.

        An exception that it raises is to be passed to `set_error`.
        """
        if self._returned or self._error is not None:
            return None
        self._translator.as_bytes = False
        read: Awaitable[list[Frame]] = self._source.__anext__()
        return read

    def set_error(self, error: Exception) -> None:
        """Let the next read of bytes raise an exception."""
        self._error = error

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        kept = self._pending_bytes()
        return self._as_bytes(await self._source.__anext__()) if kept is None else kept
