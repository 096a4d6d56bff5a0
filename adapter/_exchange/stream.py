"""One reply stream under way: Responses bytes in, Chat bytes out."""

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
"""What a stream is made of: a chunk as a JSON object, or as what it doesn't share with others, or an event as it is written."""

# A bug in the adapter ends the stream with an error, not with an answer
# (docs/decisions.md#promises). Encoded in advance, since the bug may be in the encoder of frames.
BUG_FRAME = (
    b'data: {"error":{"message":"the adapter failed on the stream","type":"server_error","param":null,'
    b'"code":"adapter_bug"}}\n\n'
)


# In a JSON text an object's key stands nowhere else: quotes inside strings are escaped.
_TYPE = re.compile(rb'[{,]\s*"type"\s*:\s*"([a-z._]{1,40})"')
_LONGEST_ERROR = 1000  # of an error event that is a text, in bytes

_LAST_CALL_WITH_OWN_ENTRY = 16
"""After each of how many calls a turn is remembered; with more, whenever there are twice as many, and at the end."""


class StreamTranslator:
    """Turn the bytes of a Responses stream into the frames of a Chat Completions stream, event by event.

    `feed(bytes)` returns what can be passed on: chunks as JSON objects, and as bytes what is no chunk; `written` makes bytes of it. Where it
    is known who reads (`as_bytes`, or by chunk), text comes the short way: as bytes too, or as what its chunks don't share. A failure is passed on as Chat's own error frame, on which the SDK
    raises; it is kept in `failure` too, so that one that comes before any output can still become an HTTP status. `heard`
    tells that the stream has begun: an event has come, or a comment. After the end (`done`; `broken` where it was an error) everything is skipped; `hang_up` tells that the answer ended before upstream did, so that
    reading on would only cost. `failing` tells that it has failed, and that what comes next may say why.
    `close()` raises StreamTruncated where the terminal event never came, and gives the error of a failure that nothing has explained.

    `memo` makes the memo of what was heard; whenever there is a new one, `unsaved` holds it until it is taken.
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
        self._entry_due_at = 1  # with how many finished calls there is something to remember
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
        """The id of the Response, as upstream gave it; None before."""
        return self._machine.response_id

    @property
    def losses(self) -> list[Any]:
        """The ledger so far."""
        return self._machine.losses

    @property
    def usage(self) -> dict[str, Any] | None:
        """The usage of the finished response, in Chat's terms."""
        return self._machine.usage

    @property
    def failing(self) -> bool:
        """Tell whether it has failed without saying why."""
        return self._machine.state is State.FAILING

    def feed(self, data: bytes) -> list[Frame]:
        """Take the next bytes of the stream."""
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
                # Each time anew from the first call on: of many calls not after every one, so that it stays linear.
                self._entry_due_at = (
                    finished + 1 if finished < _LAST_CALL_WITH_OWN_ENTRY else 2 * finished
                )
                try:
                    self._update_entry()
                except Exception:  # the answer is worth more than the memory of it
                    if self._strict:
                        raise
        return out

    def reader_left(self) -> None:
        """Take note that the caller reads no more: what it has seen may be complete though upstream hasn't said so yet."""
        if self._make_entry is not None and not self.done:
            self._update_entry()

    def _update_entry(self) -> None:
        assert self._make_entry is not None
        entry = self._make_entry(self._machine.delivered_items())
        if entry is not None and entry != self._last_entry:
            self.pending_entry = self._last_entry = entry

    def take_entry(self) -> MemoryEntry | None:
        """Take the memo that is to be remembered now, if there is one."""
        entry, self.pending_entry = self.pending_entry, None
        return entry

    def finish(self, response: dict[str, Any]) -> list[Frame]:
        """Take a whole Response in place of a stream: some servers answer so. Raises what the machine raises."""
        self.done = True
        chunks = self._machine.feed({"type": "response.completed", "response": response})
        if self._make_entry is not None:
            try:
                self._update_entry()
            except Exception:  # as above
                if self._strict:
                    raise
        return [*chunks, sse.DONE]

    def close(self) -> Sequence[Frame]:
        """Take the end of the stream."""
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
        """Write frames as they stand in a stream."""
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
        if not data or data.startswith(
            b"[DONE]"
        ):  # some servers send one; the end is the terminal event
            return self.close() if data and self.failing else ()
        try:
            event = fast_json.loads(data)
        except ValueError:
            event = None
        if event is None and (name in OPENING or is_opening_event(data)):
            return ()  # what it says isn't needed
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
    """Tell whether an event that can't be read is one that says nothing but that a response is under way."""
    found = _TYPE.search(data)
    return found is not None and found[1].decode() in OPENING


def _as_chunk(frame: Chunk | TextChunk) -> Chunk:
    return frame.chunk() if isinstance(frame, TextChunk) else frame
