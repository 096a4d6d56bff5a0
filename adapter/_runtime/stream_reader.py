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

FrameSteps = Generator["Effect | Step | list[Frame]", Any, None]
"""Yields what is to be performed, and, in between, the frames that are next."""


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
    """Reads one translated stream.

    With `drains`, `[DONE]` is held back until upstream has ended. Once `closed` is set, reading
    raises an exception, unless the answer has ended.
    """

    __slots__ = ("_drains", "_owner", "_reply", "closed", "translator")

    def __init__(self, reply: StreamReply, owner: StreamOwner, *, drains: bool) -> None:
        self.translator = reply.translator
        self._reply: StreamReply | None = reply
        self._owner = owner
        self._drains = drains
        self.closed = False

    def frames_gen(self) -> FrameSteps:
        """Yield effects, and lists of frames: what is next in the stream."""
        translator = self.translator
        try:
            assert self._reply is not None
            frames, error = self._reply.first_frames, self._reply.error
            self._reply = None
            has_begun = False  # an event that gives no frame isn't a piece of the answer
            if error is not None and not frames:
                raise error
            while True:
                begins = not has_begun and bool(frames)
                if begins or translator.pending_entry is not None or translator.done:
                    has_begun = has_begun or begins
                    try:
                        yield from self._record_gen()
                    except Exception:  # the answer is worth more than its record
                        if self._owner.strict:
                            raise
                    if translator.done and error is None:
                        break
                if frames:
                    yield frames
                if error is not None:
                    raise error
                if self.closed:
                    raise self._owner.upstream.closed_error()
                data = yield READ_CHUNK
                if data is not None:
                    frames = translator.feed(data)
                else:
                    yield Step.CLOSE  # so that its connection can be used again
                    frames = self._end()
            yield from self._ending_gen(frames)
        except Exception as error:
            with suppress(Exception):
                self._owner.stream_ended(error)
            raise

    def _end(self) -> list[Frame]:
        """Return the frames of the end of upstream's stream."""
        try:
            return [*self.translator.close()]
        except StreamTruncated as error:
            raise self._owner.upstream.truncated_error(str(error)) from None

    def _ending_gen(self, frames: list[Frame]) -> FrameSteps:
        """Yield the last frames of the answer, and read on to upstream's end for those who do."""
        if self.translator.close_early:
            yield Step.CLOSE  # before the answer's end: the reader may not read on
            yield frames
            return
        error = None
        if self._drains and frames and not self.translator.failed:
            if frames[:-1]:
                yield frames[:-1]
            error = yield Step.DRAIN
            yield frames[-1:]
        elif frames:
            yield frames
        if error is not None:
            raise error
        while (yield READ_CHUNK) is not None:
            pass
        yield Step.CLOSE

    def _record_gen(self) -> Generator[Effect | Step, Any, None]:
        """Remember a turn that is complete, and record progress, before the reader sees it."""
        entry = self.translator.take_entry()
        try:
            if entry is not None:
                yield Remember(self.translator.model, entry)
        finally:
            self._owner.stream_progressed(self.translator)

    def encode(self, frames: list[Frame]) -> bytes:
        """Return frames as bytes, and empty the list."""
        translator = self.translator
        failed_before = translator.failed
        data = translator.encode(frames)
        frames.clear()  # the generator holds the list until the stream's next piece is asked for
        if translator.failed and not failed_before:  # a chunk that can't be written
            with suppress(Exception):
                self._owner.stream_ended("APIError")  # which the SDK raises
        return data
