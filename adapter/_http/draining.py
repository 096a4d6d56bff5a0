"""Reading a stream to its end after its terminal event, so that its connection can be used again.

Over HTTP/1.1 a connection whose reply wasn't read to the end is lost; the end comes right behind
the terminal event, and mostly with it. The deadline is that of the SDK's async streams (since 3.25;
docs/decisions.md#connections).
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from threading import Lock, get_ident
from typing import Any

DRAIN_SECONDS = 0.1


def drain(upstream: Any, source: Iterator[bytes]) -> Exception | None:
    """Read the rest of a reply, for at most `DRAIN_SECONDS`; return the read error, if any.

    The error only matters to a caller that keeps reading. After the deadline it is the HTTP
    library's timeout, which such a caller would natively get later.

    The read timeout was fixed with the request; so the connection's stream (httpcore's documented
    `network_stream`) reads with a shorter one here. Without such a stream (HTTP/2, which loses no
    connections, and transports that aren't a network) nothing is read.
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


_REPLACING = Lock()


class _ReadDeadline:
    """Applies a deadline to this thread's reads from a network stream.

    Another thread may have the connection, and a deadline of its own, when the block ends.
    """

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._thread = get_ident()
        self._until = time.monotonic() + DRAIN_SECONDS

    def __enter__(self) -> None:
        with _REPLACING:
            self._read, self._replacement = self._stream.read, self.read
            self._stream.read = self._replacement

    def __exit__(self, *_: object) -> None:
        with _REPLACING:
            if self._stream.read is self._replacement:
                del self._stream.read

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Read as the stream does, but no longer than until the deadline."""
        if get_ident() == self._thread:
            # Not 0, which not every stream supports.
            left = max(self._until - time.monotonic(), 0.001)
            timeout = left if timeout is None else min(timeout, left)
        data: bytes = self._read(max_bytes, timeout=timeout)
        return data
