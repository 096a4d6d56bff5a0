"""Reading a translated stream: one generator of effects for sync and async code.

Reading on after `[DONE]` reads upstream to its end, so that its connection can be used again. The
SDK's async reader reads on. Its sync reader doesn't, and loses a connection with each of Chat's own
streams; so `[DONE]` is held back there until upstream has ended
(docs/decisions.md#connections). An upstream whose answer was cut at a stop sequence is closed at
once, since every token that it still writes is paid for.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import suppress
from typing import Any, Protocol

from adapter._exchange.effects import READ_CHUNK, Effect, Remember, StreamReply
from adapter._exchange.stream import Frame, StreamTranslator
from adapter.errors import StreamTruncated

from .steps import Step


class StreamOwner(Protocol):
    """What a stream needs of the performer of its request."""

    upstream: Any

    @property
    def strict(self) -> bool:
        """Whether the adapter's own bugs are to be raised."""

    def stream_progressed(self, translator: StreamTranslator) -> None:
        """Record the first piece and the end of a stream, before its reader sees them."""

    def stream_ended(self, error: BaseException | str | None = None) -> None:
        """Record the end before the reader sees it: SDKs 1.x don't close a stream that raises."""


class StreamReader:
    """Reads one translated stream; `next_gen` returns its next frames.

    With `drains`, `[DONE]` is held back until upstream has ended.
    """

    __slots__ = (
        "_drains",
        "_ended",
        "_error",
        "_first_frames",
        "_held",
        "_is_first",
        "_owner",
        "closed",
        "translator",
    )

    def __init__(self, reply: StreamReply, owner: StreamOwner, *, drains: bool) -> None:
        self.translator = reply.translator
        self._first_frames = reply.first_frames
        self._error = reply.error
        self._owner = owner
        self._drains = drains
        self._held: list[Frame] = []  # `[DONE]`, until upstream has ended
        self._is_first = True
        self._ended = False
        self.closed = False

    def next_gen(self) -> Generator[Effect | Step, Any, list[Frame] | None]:
        """Return the next frames; None at the end."""
        translator = self.translator
        try:
            while True:
                if self._held:
                    held, self._held = self._held, []
                    self._error = yield Step.DRAIN  # for those who read on
                    return held
                if self._first_frames:
                    frames, self._first_frames = self._first_frames, []
                elif self._error is not None:
                    raise self._error
                elif self._ended:
                    return None
                elif self.closed and not translator.done:
                    raise self._owner.upstream.closed_error()
                else:
                    data = yield READ_CHUNK
                    if data is not None:
                        frames = translator.feed(data)
                    else:
                        self._ended = True
                        yield Step.CLOSE  # so that its connection can be used again
                        frames = [] if translator.done else self._end()
                if translator.pending_entry is not None or translator.done or self._is_first:
                    try:
                        yield from self._record_gen()
                    except Exception:  # the answer is worth more than its record
                        if self._owner.strict:
                            raise
                    if frames and translator.done:
                        frames = yield from self._last_frames_gen(frames)
                if frames:
                    return frames
        except Exception as error:
            self._ended, self._error, self._held = True, None, []
            with suppress(Exception):
                self._owner.stream_ended(error)
            raise

    def _end(self) -> list[Frame]:
        """Return the frames of the end of upstream's stream."""
        try:
            return [*self.translator.close()]
        except StreamTruncated as error:
            raise self._owner.upstream.truncated_error(str(error)) from None

    def _last_frames_gen(self, frames: list[Frame]) -> Generator[Effect | Step, Any, list[Frame]]:
        """Return the last frames of the answer that can be given now."""
        if self.translator.close_early:
            self._ended = True
            yield Step.CLOSE  # before the answer's end: the reader may not read on
        elif self._drains and not self.translator.failed:
            frames, self._held = frames[:-1], frames[-1:]
        return frames

    def _record_gen(self) -> Generator[Effect | Step, Any, None]:
        """Remember a turn that is complete, and record progress, before the reader sees it."""
        self._is_first = False
        entry = self.translator.take_entry()
        try:
            if entry is not None:
                yield Remember(self.translator.model, entry)
        finally:
            self._owner.stream_progressed(self.translator)

    def encode(self, frames: list[Frame]) -> bytes:
        """Return frames as bytes."""
        translator = self.translator
        failed_before = translator.failed
        data = translator.encode(frames)
        if translator.failed and not failed_before:  # a chunk that can't be written
            with suppress(Exception):
                self._owner.stream_ended("APIError")  # which the SDK raises
        return data
