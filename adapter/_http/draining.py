"""Reading a reply to its end after its last word, for a moment, so that its connection can be used again.

Over HTTP/1.1 a connection whose reply wasn't read to the end is lost; the end comes right behind the terminal event, and mostly with
it. The bound is that of the SDK's async streams (openai/_streaming_cleanup.py, from 3.25).
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from threading import get_ident
from typing import Any

DRAIN_SECONDS = 0.1


def drain(upstream: Any, source: Iterator[bytes]) -> Exception | None:
    """Read what is left of a reply, for `SECONDS` at most; return what went wrong there, which only concerns whoever reads on.

    Where the time was up that is the HTTP library's own timeout, which whoever reads on would natively get later.

    The time that a read may take was set when the request was made, and can't be changed since; so the connection's stream
    (httpcore's documented `network_stream`) reads with a shorter one here. Where there is none (HTTP/2, which loses no connections,
    and transports that aren't a network) nothing is read.
    """
    stream = upstream.extensions.get("network_stream")
    if stream is None or upstream.extensions.get("http_version") not in (b"HTTP/1.1", b"HTTP/1.0"):
        return None
    try:
        with _ReadDeadline(stream):
            for _ in source:
                pass
    except Exception as error:  # noqa: BLE001  # whatever the transport raises
        return error
    return None


class _ReadDeadline:
    """Let reads from a network stream end in time, in this thread; another one may have the connection by the end of the block."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._read = stream.read
        self._thread = get_ident()
        self._until = time.monotonic() + DRAIN_SECONDS

    def __enter__(self) -> None:
        self._stream.read = self.read

    def __exit__(self, *_: object) -> None:
        del self._stream.read

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Read as the stream does, but for the time that is left."""
        if get_ident() == self._thread:
            left = max(
                self._until - time.monotonic(), 0.001
            )  # 0 would mean not to wait at all, which not every stream can
            timeout = left if timeout is None else min(timeout, left)
        data: bytes = self._read(max_bytes, timeout=timeout)
        return data
