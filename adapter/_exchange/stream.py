"""Translate one reply stream: bytes of Responses events in, frames of a Chat stream out."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

from adapter._util import fast_json, sse
from adapter.errors import StreamTruncated, TranslationError, UpstreamFailure
from adapter.translation.reasoning.turns import MemoryEntry
from adapter.translation.replies.errors import error_event
from adapter.translation.streams.chunks import Chunk, TextChunk
from adapter.translation.streams.event_types import is_keepalive
from adapter.translation.streams.events_to_chunks import OPENING, ChunksFromEvents, State
from adapter.translation.types import PathMap, ReplyContext

Frame = Chunk | TextChunk | bytes
"""One piece of a Chat stream: a chunk as a dict, a text chunk without shared fields, or bytes."""

# A bug in the adapter ends the stream with an error, not with an answer
# (docs/decisions.md#promises). Encoded in advance, since the bug may be in the encoder of frames.
BUG_FRAME = (
    b'data: {"error":{"message":"the adapter failed on the stream","type":"server_error",'
    b'"param":null,"code":"adapter_bug"}}\n\n'
)


# Matches only a key: quotes inside JSON strings are escaped.
_TYPE = re.compile(rb'[{,]\s*"type"\s*:\s*"([a-z._]{1,40})"')
_LONGEST_ERROR = 1000  # bytes of an error event that is not JSON

_LAST_CALL_WITH_OWN_ENTRY = 16
"""A memory entry is made after each of so many calls, then whenever their number has doubled, and
at the end."""


class StreamTranslator:
    """Translate the bytes of one Responses stream into the frames of a Chat stream.

    `feed(data)` returns the frames that are complete: chunks as dicts, everything else as bytes;
    `encode` makes bytes of them. Once `as_bytes` is set (does the reader want bytes or chunks?),
    text takes the fast path: as bytes, or as TextChunk (docs/performance.md#text-deltas).

    `started`: an event or a comment has arrived. `done`: the stream has ended, and all further
    input is skipped; `failed`: it ended with an error. `close_early`: the answer ended before
    upstream did, so reading on would only cost. A failure becomes Chat's error frame, on which the
    SDK raises, and is kept in `failure`, so that one before any output can become an HTTP status.
    `failing`: the stream has failed, and the next event may say why.

    `make_entry` makes the memory entry of the items that were delivered; a new one is kept in
    `pending_entry` until `take_entry` takes it.
    """

    __slots__ = (
        "_decoder",
        "_entry_due_at",
        "_last_entry",
        "_machine",
        "_make_entry",
        "_strict",
        "as_bytes",
        "close_early",
        "done",
        "events",
        "failed",
        "failure",
        "model",
        "pending_entry",
        "started",
    )  # fmt: skip

    def __init__(
        self,
        context: ReplyContext,
        paths: PathMap,
        *,
        on_bug_raise: bool = False,
        make_entry: Callable[[list[Any]], MemoryEntry | None] | None = None,
    ) -> None:
        self.model = context.model
        self._make_entry = make_entry
        self._last_entry: MemoryEntry | None = None
        self._entry_due_at = 1  # number of finished calls at which the next entry is made
        self.pending_entry: MemoryEntry | None = None
        self._decoder = sse.Decoder()
        self._machine = ChunksFromEvents(context, paths)
        self._strict = on_bug_raise
        self.events = 0
        self.started = False
        self.as_bytes: bool | None = None
        self.done = False
        self.failed = False
        self.close_early = False
        self.failure: UpstreamFailure | None = None

    @property
    def response_id(self) -> Any:
        """The id of the Response; None before upstream has sent it."""
        return self._machine.response_id

    @property
    def losses(self) -> list[Any]:
        """The losses so far."""
        return self._machine.losses

    @property
    def usage(self) -> dict[str, Any] | None:
        """The usage of the finished response in Chat's shape."""
        return self._machine.usage

    @property
    def failing(self) -> bool:
        """Whether the stream has failed without details so far."""
        return self._machine.state is State.FAILING

    def feed(self, data: bytes) -> list[Frame]:
        """Feed the next bytes of the stream; return the frames that are complete."""
        out: list[Frame] = []
        try:
            fast_path = self._machine.fast_path
            if (
                fast_path is not None
                and self.as_bytes is not None
                and not self.done
                and self._decoder.between_events
            ):
                at = (
                    fast_path.read_frames(data, out)
                    if self.as_bytes
                    else fast_path.read_deltas(data, out)
                )
                self.events += len(out)
                data = data[at:]
            if data:
                for event in self._decoder.feed(data):
                    if self.done:
                        break
                    self.events += 1
                    out += self._event(event.name, event.data)
                if not self.started:
                    self.started = self.events > 0 or self._decoder.between_events
        except Exception:
            if self._strict:
                raise
            self.done = self.failed = self.started = True
            out.append(BUG_FRAME)
        if self._make_entry is not None and not self.failed:
            finished = self._machine.finished_calls
            if finished >= self._entry_due_at or (finished and self.done):
                # Each entry is made from all calls; not after every one of many, to stay linear.
                self._entry_due_at = (
                    finished + 1 if finished < _LAST_CALL_WITH_OWN_ENTRY else 2 * finished
                )
                try:
                    self._update_entry()
                except Exception:  # costs continuity, never the answer
                    if self._strict:
                        raise
        return out

    def reader_left(self) -> None:
        """Make a memory entry if the caller stops reading: it may have received everything."""
        if self._make_entry is not None and not self.done:
            self._update_entry()

    def _update_entry(self) -> None:
        assert self._make_entry is not None
        entry = self._make_entry(self._machine.delivered_items())
        if entry is not None and entry != self._last_entry:
            self.pending_entry = self._last_entry = entry

    def take_entry(self) -> MemoryEntry | None:
        """Return the pending memory entry, if any, and reset it."""
        entry, self.pending_entry = self.pending_entry, None
        return entry

    def finish(self, response: dict[str, Any]) -> list[Frame]:
        """Translate a whole Response that a server sent instead of a stream.

        Raises what the translation raises.
        """
        self.done = True
        chunks = self._machine.feed({"type": "response.completed", "response": response})
        if self._make_entry is not None:
            try:
                self._update_entry()
            except Exception:  # costs continuity, never the answer
                if self._strict:
                    raise
        return [*chunks, sse.DONE]

    def close(self) -> Sequence[Frame]:
        """End the stream; return the error frame of a failure without details.

        Raises StreamTruncated if the terminal event is missing.
        """
        if self.done:
            return ()
        self.done = True
        try:
            return self._machine.close()
        except UpstreamFailure as failure:
            return self._end_with_failure(failure)
        except Exception as error:
            if self._strict or isinstance(error, StreamTruncated):
                raise
            raise StreamTruncated(
                "$", f"the adapter failed at the end of the stream ({type(error).__name__})"
            ) from error

    def encode(self, frames: list[Frame]) -> bytes:
        """Encode frames as server-sent events."""
        try:
            return b"".join(
                [
                    frame if isinstance(frame, bytes) else sse.frame(_as_chunk(frame))
                    for frame in frames
                ]
            )
        except Exception:
            if self._strict:
                raise
            self.done = self.failed = True
            return BUG_FRAME

    def _event(self, name: str, data: bytes) -> Sequence[Frame]:
        if not data or data.startswith(b"[DONE]"):
            # Some servers send `[DONE]`; the terminal event is what ends the stream.
            return self.close() if data and self.failing else ()
        try:
            event = fast_json.loads(data)
        except ValueError:
            event = None
        if event is None and (name in OPENING or is_opening_event(data)):
            return ()  # its contents aren't needed
        if not isinstance(event, dict) and (is_keepalive(name) or not data.strip()):
            return ()
        if name == "error":
            text = data[:_LONGEST_ERROR].decode("utf-8", "replace")
            event = error_event(event, name) or {"type": "error", "error": text}
        if not isinstance(event, dict):
            return self._end_with_error(
                "the stream has an event that is not a JSON object", "invalid_event"
            )
        try:
            chunks = self._machine.feed(event)
        except UpstreamFailure as failure:
            return self._end_with_failure(failure)
        except StreamTruncated as error:
            return self._end_with_error(str(error), "stream_inconsistent")
        except TranslationError as error:
            return self._end_with_error(str(error), "invalid_response")
        if self._machine.ended:
            self.done = True
            self.close_early = self._machine.close_early
            return (*chunks, sse.DONE)
        return chunks

    def _end_with_failure(self, failure: UpstreamFailure) -> Sequence[Frame]:
        self.failure = failure
        self.done = self.failed = True
        return (sse.frame({"error": failure.error}),)

    def _end_with_error(self, message: str, code: str) -> Sequence[Frame]:
        self.done = self.failed = True
        return (
            sse.frame(
                {"error": {"message": message, "type": "server_error", "param": None, "code": code}}
            ),
        )


def is_opening_event(data: bytes) -> bool:
    """Return whether the data of an invalid event names a type that only opens a response."""
    found = _TYPE.search(data)
    return found is not None and found[1].decode() in OPENING


def _as_chunk(frame: Chunk | TextChunk) -> Chunk:
    return frame.chunk() if isinstance(frame, TextChunk) else frame
