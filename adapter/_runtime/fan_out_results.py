"""What several requests of one call bring: whose outcome counts, and what of their streams is the caller's next."""

from __future__ import annotations

from contextlib import suppress
from typing import Any, NamedTuple

from adapter._exchange.effects import Outcome, StreamReply, WholeReply
from adapter._exchange.merged_stream import StreamMerger
from adapter.errors import StreamTruncated


class FanOutItem(NamedTuple):
    """What a trip brought: its outcome, then the bytes of its stream piece by piece, then None; or an exception."""

    branch: int
    payload: Outcome | bytes | BaseException | None


CLOSED = FanOutItem(-1, None)  # brought by nobody: wakes a reader whose stream somebody else closes
_NO_BRANCH = -1
_ERROR_FRAME = b'data: {"error":'  # inside of JSON strings the quotes would be escaped


def ends_call(outcome: Outcome) -> bool:
    """Tell whether one request's outcome ends the whole call."""
    return not isinstance(outcome, StreamReply) and not (
        isinstance(outcome, WholeReply) and outcome.status < 400
    )


class FanOutState:
    """What the sync and the async fan-out share: the outcomes so far, and whose reply is to be the caller's."""

    def __init__(self, performers: list[Any]) -> None:
        self.performers = performers
        self.outcomes: dict[int, Outcome] = {}
        self.early_items: list[
            FanOutItem
        ] = []  # pieces of streams that came while others hadn't begun
        self.stopped = False
        self._kept_branch: int | None = None

    def claim_reply(self, number: int, payload: Outcome | bytes | BaseException | None) -> bool:
        """Tell whether a trip that brings this keeps its reply open for the caller: the first one that fails does."""
        if self._kept_branch is not None or self.stopped:
            return False
        if isinstance(payload, BaseException):
            self._kept_branch = _NO_BRANCH
        elif payload is not None and not isinstance(payload, bytes) and ends_call(payload):
            self._kept_branch = number
        return self._kept_branch == number

    def release_reply(self, chosen: int | None) -> Any:
        """End the gathering; return the trip, if there is one, that has kept a reply which isn't taken."""
        kept, self._kept_branch = self._kept_branch, _NO_BRANCH
        return None if kept in (None, _NO_BRANCH, chosen) else self.performers[kept]

    def add(self, item: FanOutItem) -> Outcome | None:
        """Take what a trip brought; return an outcome that ends the whole call."""
        number, what = item
        begun = self.outcomes.get(number)
        if begun is None:
            if isinstance(what, BaseException):
                try:
                    raise what
                finally:
                    del (
                        what,
                        item,
                    )  # else the exception would hold this frame, and the frame the exception
            assert what is not None
            assert not isinstance(what, bytes)
            self.outcomes[number] = what
            return what if ends_call(what) else None
        self.early_items.append(item)
        if isinstance(begun, StreamReply):
            return self._broken_stream(number, begun, what)
        return None

    def _broken_stream(self, number: int, started: StreamReply, payload: Any) -> Outcome | None:
        """Return what a single call would show of a stream that breaks off before the others have begun."""
        if isinstance(payload, Exception):
            return StreamReply(started.translator, [], payload)
        if isinstance(payload, BaseException):
            raise payload
        if payload is not None and _ERROR_FRAME in payload:
            frames = b"".join(
                piece
                for performer, piece in self.early_items
                if performer == number and isinstance(piece, bytes)
            )
            return WholeReply(200, frames, "text/event-stream")
        return None

    def answer_ended(self, number: int) -> bool:
        """Tell whether a stream has said its last word, though upstream may not have ended yet."""
        outcome = self.outcomes.get(number)
        return isinstance(outcome, StreamReply) and outcome.translator.done

    @property
    def complete(self) -> bool:
        """Tell whether every request has begun to answer."""
        return len(self.outcomes) == len(self.performers)

    def in_order(self) -> tuple[Outcome, ...]:
        """Return the outcomes in the order of the choices."""
        return tuple(self.outcomes[number] for number in range(len(self.performers)))


class MergedReader:
    """The merged stream, as far as it is read: what the sync and the async reader share."""

    def __init__(
        self,
        state: FanOutState,
        merger: StreamMerger,
        performer: Any,
    ) -> None:
        self.early_items = state.early_items
        self.whole_bodies = [
            (n, one.body) for n, one in enumerate(state.in_order()) if isinstance(one, WholeReply)
        ]
        self._open = {n for n, one in enumerate(state.in_order()) if isinstance(one, StreamReply)}
        self._merger = merger
        self._performer = performer
        self._first = True

    def report_end(self, error: BaseException | None = None) -> bool:
        """Tell of the end as soon as it is known; return whether it is an error: SDKs 1.x don't close a stream that raises."""
        with suppress(Exception):  # an answer is worth more than what is known of it
            if self._first and error is None:
                self._first = False
                self._performer.first_piece_received()
            if error is not None or self._merger.done:
                self._performer.stream_ended(
                    "APIError" if error is None and self._merger.failed else error
                )
        return error is not None or self._merger.failed

    @property
    def finished(self) -> bool:
        """Tell whether there is nothing more to be read, upstream's last bytes included."""
        return self._merger.failed or not (self._open or self.whole_bodies)

    @property
    def answer_ended(self) -> bool:
        """Tell whether all has been said, though upstream may still have something to send."""
        return self._merger.done

    def take_whole(self) -> bytes:
        """Take an answer that came in one piece."""
        number, body = self.whole_bodies.pop(0)
        out = self._merger.feed(number, body)
        self._close(number)
        return out

    def take(self, item: FanOutItem) -> bytes:
        """Take a piece of a stream, its end or its error; raises the latter."""
        number, what = item
        if isinstance(what, bytes):
            return self._merger.feed(number, what)
        self._open.discard(number)
        if isinstance(what, BaseException):
            if isinstance(what, Exception) and self._merger.ended(number):
                return b""  # it had said its last word
            try:
                raise what
            finally:
                del what, item
        self._close(number)
        return b""

    def _close(self, number: int) -> None:
        try:
            self._merger.close(number)
        except StreamTruncated as error:
            raise self._performer.truncated_error(str(error)) from None
