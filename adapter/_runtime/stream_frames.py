"""A translated stream as its reader takes it: as chunks, by a stream of our own clients, or as bytes, by anybody.

Both read the same relay, and may take turns: what isn't a plain chunk (an error, `[DONE]`, a broken connection) one of our streams
puts back, and lets the SDK's own reader read it as bytes, so that the SDK raises and closes as it always does.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Iterator
from contextlib import suppress
from typing import Any

from adapter._exchange.stream import Frame, Relay
from adapter._http.bodies import Carrier


class _Frames:
    """What the sync and the async reader share. The trip is told of a chunk that can't be written."""

    __slots__ = ("_error", "_relay", "_rest", "_source", "_trip")

    def __init__(self, relay: Relay, source: Any, trip: Carrier) -> None:
        self._relay = relay
        self._source = source
        self._trip = trip
        self._rest: list[Frame] = []
        self._error: Exception | None = None

    def put_back(self, frame: Frame) -> None:
        """Let this frame be the next that is read as bytes."""
        self._rest.append(frame)

    def _as_bytes(self, frames: list[Frame]) -> bytes:
        broken = self._relay.broken
        data = self._relay.written(frames)
        if self._relay.broken and not broken:
            with suppress(Exception):
                self._trip.over("APIError")  # what the SDK makes of the error that stands there now
        return data

    def _kept(self) -> bytes | None:
        """Give what was put back, or raise what was kept; None where there is neither."""
        if self._rest:
            rest, self._rest = self._rest, []
            return self._as_bytes(rest)
        if self._error is not None:
            error, self._error = self._error, None
            try:
                raise error
            finally:
                del error
        self._relay.as_bytes = True
        return None


def frames_of(response: Any) -> Any:
    """Return the frames that a reply's body is made of; None where it has none."""
    found = getattr(getattr(response, "_ours", None), "_pump", None)
    return found if isinstance(found, _Frames) else None


class Frames(_Frames):
    """A stream's frames, in sync code: an iterator of bytes, beside `chunks`."""

    __slots__ = ()

    def chunks(self) -> list[Frame] | None:
        """Read on; None where nothing but bytes will do: at the end, and where reading failed."""
        if self._rest or self._error is not None:
            return None
        self._relay.as_bytes = False
        try:
            frames: list[Frame] | None = next(self._source, None)
        except Exception as error:  # noqa: BLE001  # the SDK's own reader raises it
            self._error = error
            return None
        return frames

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        kept = self._kept()
        return self._as_bytes(next(self._source)) if kept is None else kept


class AFrames(_Frames):
    """A stream's frames, in async code: an async iterator of bytes, beside `chunks`. `closed` goes through to the source."""

    __slots__ = ()

    @property
    def closed(self) -> bool:
        """Tell whether the stream was closed."""
        return bool(self._source.closed)

    @closed.setter
    def closed(self, value: bool) -> None:
        self._source.closed = value

    def chunks(self) -> Awaitable[list[Frame]] | None:
        """Read on; None where nothing but bytes will do: at the end, and where reading failed. What it raises is for `failed`."""
        if self._rest or self._error is not None:
            return None
        self._relay.as_bytes = False
        read: Awaitable[list[Frame]] = self._source.__anext__()
        return read

    def failed(self, error: Exception) -> None:
        """Let the SDK's own reader raise this."""
        self._error = error

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        kept = self._kept()
        return self._as_bytes(await self._source.__anext__()) if kept is None else kept
