"""The results of several requests of one call: which outcome counts, and their merged stream."""

from __future__ import annotations

from contextlib import suppress
from typing import Any, NamedTuple

from adapter._exchange.effects import Outcome, StreamReply, WholeReply
from adapter._exchange.merged_stream import StreamMerger
from adapter._exchange.stream import Frame
from adapter._util import sse
from adapter.errors import StreamTruncated

from .steps import Step
from .stream_reader import FrameSteps


class FanOutItem(NamedTuple):
    """A result of a branch: its outcome, pieces of its stream, and None; or an exception."""

    branch: int
    payload: Outcome | bytes | BaseException | None


CLOSED = FanOutItem(-1, None)  # of no branch: wakes a reader whose stream was closed elsewhere
_NO_BRANCH = -1
_ERROR_FRAME = b'data: {"error":'  # in a JSON string the quotes are escaped


def ends_call(outcome: Outcome) -> bool:
    """Return whether one request's outcome ends the whole call: it isn't a stream or a success."""
    return not isinstance(outcome, StreamReply) and not (
        isinstance(outcome, WholeReply) and outcome.status < 400
    )


class FanOutState:
    """What the sync and the async fan-out share: the outcomes so far, and the reply to keep."""

    def __init__(self, performers: list[Any]) -> None:
        self.performers = performers
        self.outcomes: dict[int, Outcome] = {}
        # Pieces of streams that came before all others had begun.
        self.early_items: list[FanOutItem] = []
        self.stopped = False
        self._kept_branch: int | None = None

    def claim_reply(self, number: int, payload: Outcome | bytes | BaseException | None) -> bool:
        """Return whether a branch with this payload keeps its reply open for the caller.

        The first one that fails does.
        """
        if self._kept_branch is not None or self.stopped:
            return False
        if isinstance(payload, BaseException):
            self._kept_branch = _NO_BRANCH
        elif payload is not None and not isinstance(payload, bytes) and ends_call(payload):
            self._kept_branch = number
        return self._kept_branch == number

    def release_reply(self, chosen: int | None) -> Any:
        """Let no more replies be kept; return the performer of a kept one, unless it is chosen."""
        kept, self._kept_branch = self._kept_branch, _NO_BRANCH
        return None if kept in (None, _NO_BRANCH, chosen) else self.performers[kept]

    def add(self, item: FanOutItem) -> Outcome | None:
        """Add an item; return an outcome that ends the whole call, or None. Raise its exception."""
        number, payload = item
        begun = self.outcomes.get(number)
        if begun is None:
            if isinstance(payload, BaseException):
                try:
                    raise payload
                finally:
                    del payload, item  # they would be a reference cycle with the traceback
            assert payload is not None
            assert not isinstance(payload, bytes)
            self.outcomes[number] = payload
            return payload if ends_call(payload) else None
        self.early_items.append(item)
        if isinstance(begun, StreamReply):
            return self._broken_stream(number, begun, payload)
        return None

    def _broken_stream(self, number: int, started: StreamReply, payload: Any) -> Outcome | None:
        """Return what a single call gives for a stream that breaks off before the others begin."""
        if isinstance(payload, Exception):
            # Behind the end of an answer it matters to no reader.
            if self._early_bytes(number).endswith(sse.DONE):
                return None
            return StreamReply(started.translator, [], payload)
        if isinstance(payload, BaseException):
            raise payload
        if payload is not None and _ERROR_FRAME in payload:
            return WholeReply(200, self._early_bytes(number), "text/event-stream")
        return None

    def _early_bytes(self, number: int) -> bytes:
        """Return what has come of a branch's stream before all others had begun."""
        return b"".join(
            piece
            for branch, piece in self.early_items
            if branch == number and isinstance(piece, bytes)
        )

    def answer_ended(self, number: int) -> bool:
        """Return whether a branch's answer has ended; upstream's stream may not have."""
        outcome = self.outcomes.get(number)
        return isinstance(outcome, StreamReply) and outcome.translator.done

    @property
    def complete(self) -> bool:
        """Whether every request has an outcome."""
        return len(self.outcomes) == len(self.performers)

    def in_order(self) -> tuple[Outcome, ...]:
        """Return the outcomes in the order of the choices."""
        return tuple(self.outcomes[number] for number in range(len(self.performers)))


class MergedStreamReader:
    """Reads the streams of several requests as one."""

    def __init__(self, state: FanOutState, merger: StreamMerger, performer: Any) -> None:
        self._early_items = state.early_items
        self._whole_bodies = [
            (n, one.body) for n, one in enumerate(state.in_order()) if isinstance(one, WholeReply)
        ]
        self._open = {n for n, one in enumerate(state.in_order()) if isinstance(one, StreamReply)}
        self._merger = merger
        self._performer = performer
        self._first = True
        self.closed = False

    def frames_gen(self) -> FrameSteps:
        """Yield steps, and the bytes of the merged stream that are next, as one frame."""
        try:
            while not self._finished:
                if self.closed:
                    if self._merger.done:  # upstream's streams may not have ended
                        return
                    raise self._performer.upstream.closed_error()
                if self._whole_bodies:
                    out = self._take_whole()
                else:
                    item = self._early_items.pop(0) if self._early_items else (yield Step.NEXT_ITEM)
                    if item is CLOSED:
                        self.closed = True
                        continue
                    out = self._take(item)
                if out:
                    if self._report_end():
                        yield Step.CANCEL_BRANCHES
                    yield [out]
        except Exception as error:
            self._report_end(error)
            yield Step.CANCEL_BRANCHES
            raise

    def encode(self, frames: list[Frame]) -> bytes:
        """Return frames as bytes, which they are."""
        return b"".join(frame for frame in frames if isinstance(frame, bytes))

    def _report_end(self, error: BaseException | None = None) -> bool:
        """Record the end as soon as it is known; return whether it is an error.

        SDKs 1.x don't close a stream that raises.
        """
        with suppress(Exception):  # the answer is worth more than its record
            if self._first and error is None:
                self._first = False
                self._performer.first_piece_received()
            if error is not None or self._merger.done:
                self._performer.stream_ended(
                    "APIError" if error is None and self._merger.failed else error
                )
        return error is not None or self._merger.failed

    @property
    def _finished(self) -> bool:
        """Whether nothing is left to read, upstream's last bytes included."""
        return self._merger.failed or not (self._open or self._whole_bodies)

    def _take_whole(self) -> bytes:
        """Return the frames of the next answer that came whole."""
        number, body = self._whole_bodies.pop(0)
        out = self._merger.feed(number, body)
        self._close(number)
        return out

    def _take(self, item: FanOutItem) -> bytes:
        """Return the frames of an item: a piece of a stream, or its end. Raise its exception."""
        number, payload = item
        if isinstance(payload, bytes):
            return self._merger.feed(number, payload)
        self._open.discard(number)
        if isinstance(payload, BaseException):
            if isinstance(payload, Exception) and self._merger.ended(number):
                return b""  # its answer had ended
            try:
                raise payload
            finally:
                del payload, item
        self._close(number)
        return b""

    def _close(self, number: int) -> None:
        try:
            self._merger.close(number)
        except StreamTruncated as error:
            raise self._performer.upstream.truncated_error(str(error)) from None
