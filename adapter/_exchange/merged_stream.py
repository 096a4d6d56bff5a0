"""Merge N Chat streams, as bytes, into one stream with N choices."""

from __future__ import annotations

from typing import Any

from adapter._util import json_codec, sse
from adapter.errors import StreamTruncated
from adapter.translation.streams.merge import ChoicesFromStreams

# A bug in the adapter ends the stream with an error, not with an answer
# (docs/decisions.md#promises). Encoded in advance, since the bug may be in the encoder of frames.
_BUG_FRAME = (
    b'data: {"error":{"message":"the adapter failed on one of several streams",'
    b'"type":"server_error","param":null,"code":"adapter_bug"}}\n\n'
)


class StreamMerger:
    """Merge the bytes of N Chat Completions streams into one stream; stream k becomes choice k.

    `feed(k, data)` returns the bytes that are complete. An error frame of any stream is passed on
    unchanged and ends the merged stream (`failed`), since the other choices are useless without
    that one. `[DONE]` is written once, after the last stream's. After the end (`done`) all input is
    skipped. `close(k)` ends stream k, and raises StreamTruncated if its `[DONE]` or error is
    missing.
    """

    __slots__ = ("_decoders", "_ended", "_machine", "_strict", "done", "failed")

    def __init__(self, n: int, *, on_bug_raise: bool = False) -> None:
        self._decoders = [sse.Decoder() for _ in range(n)]
        self._machine = ChoicesFromStreams(n)
        self._ended: set[int] = set()
        self._strict = on_bug_raise
        self.done = False
        self.failed = False

    def feed(self, k: int, data: bytes) -> bytes:
        """Feed the next bytes of stream `k`; return the bytes of the merged stream."""
        out: list[bytes] = []
        try:
            for event in self._decoders[k].feed(data):
                if self.done or k in self._ended:
                    break
                out.append(self._event(k, event.data))
        except StreamTruncated as error:
            out.append(self._end_with_error(str(error), "stream_inconsistent"))
        except Exception:
            if self._strict:
                raise
            self.done = self.failed = True
            out.append(_BUG_FRAME)
        return b"".join(out)

    def ended(self, k: int) -> bool:
        """Return whether stream `k` has ended."""
        return k in self._ended

    def close(self, k: int) -> None:
        """End stream `k`. Raises StreamTruncated if its terminal event is missing."""
        if self.done or k in self._ended:
            return
        self.done = self.failed = True
        raise StreamTruncated(f"choices[{k}]", "the stream ended before its terminal event")

    def _event(self, k: int, data: bytes) -> bytes:
        if data.startswith(b"[DONE]"):
            chunks = self._machine.end(k)
            self._ended.add(k)
            self.done = self._machine.done
            return _frames(chunks) + (sse.DONE if self.done else b"")
        try:
            chunk = json_codec.loads(data)
        except ValueError:
            chunk = None
        if not isinstance(chunk, dict):
            return self._end_with_error(
                "the stream has an event that is not a JSON object", "invalid_event"
            )
        if chunk.get("error"):
            self.done = self.failed = True
            return sse.frame(chunk)
        return _frames(self._machine.feed(k, chunk))

    def _end_with_error(self, message: str, code: str) -> bytes:
        self.done = self.failed = True
        return sse.frame(
            {"error": {"message": message, "type": "server_error", "param": None, "code": code}}
        )


def _frames(chunks: list[dict[str, Any]]) -> bytes:
    return b"".join([sse.frame(chunk) for chunk in chunks])
