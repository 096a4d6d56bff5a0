"""What several requests of one call bring: whose outcome counts, and what of their streams is the caller's next."""

from __future__ import annotations

from contextlib import suppress
from typing import Any, NamedTuple

from adapter._exchange.effects import Outcome, Rewritten, Streamed
from adapter._exchange.merged_stream import Chorus
from adapter.errors import StreamTruncated


class Brought(NamedTuple):
    """What a trip brought: its outcome, then the bytes of its stream piece by piece, then None; or an exception."""

    trip: int
    what: Outcome | bytes | BaseException | None


CLOSED = Brought(-1, None)  # brought by nobody: wakes a reader whose stream somebody else closes
_NOBODY = -1
_ERROR_FRAME = b'data: {"error":'  # inside of JSON strings the quotes would be escaped


def fails(outcome: Outcome) -> bool:
    """Tell whether one request's outcome ends the whole call."""
    return not isinstance(outcome, Streamed) and not (isinstance(outcome, Rewritten) and outcome.status < 400)


class Gathering:
    """What the sync and the async fan-out share: the outcomes so far, and whose reply is to be the caller's."""

    def __init__(self, trips: list[Any]) -> None:
        self.trips = trips
        self.outcomes: dict[int, Outcome] = {}
        self.early: list[Brought] = []  # pieces of streams that came while others hadn't begun
        self.over = False
        self._kept: int | None = None

    def claim(self, number: int, what: Outcome | bytes | BaseException | None) -> bool:
        """Tell whether a trip that brings this keeps its reply open for the caller: the first one that fails does."""
        if self._kept is not None or self.over:
            return False
        if isinstance(what, BaseException):
            self._kept = _NOBODY
        elif what is not None and not isinstance(what, bytes) and fails(what):
            self._kept = number
        return self._kept == number

    def settle(self, taken: int | None) -> Any:
        """End the gathering; return the trip, if there is one, that has kept a reply which isn't taken."""
        kept, self._kept = self._kept, _NOBODY
        return None if kept in (None, _NOBODY, taken) else self.trips[kept]

    def take(self, brought: Brought) -> Outcome | None:
        """Take what a trip brought; return an outcome that ends the whole call."""
        number, what = brought
        begun = self.outcomes.get(number)
        if begun is None:
            if isinstance(what, BaseException):
                try:
                    raise what
                finally:
                    del what, brought  # else the exception would hold this frame, and the frame the exception
            assert what is not None
            assert not isinstance(what, bytes)
            self.outcomes[number] = what
            return what if fails(what) else None
        self.early.append(brought)
        if isinstance(begun, Streamed):
            return self._broken(number, begun, what)
        return None

    def _broken(self, number: int, begun: Streamed, what: Any) -> Outcome | None:
        """Return what a single call would show of a stream that breaks off before the others have begun."""
        if isinstance(what, Exception):
            return Streamed(begun.relay, [], what)
        if isinstance(what, BaseException):
            raise what
        if what is not None and _ERROR_FRAME in what:
            said = b"".join(piece for trip, piece in self.early if trip == number and isinstance(piece, bytes))
            return Rewritten(200, said, "text/event-stream")
        return None

    def said_all(self, number: int) -> bool:
        """Tell whether a stream has said its last word, though upstream may not have ended yet."""
        outcome = self.outcomes.get(number)
        return isinstance(outcome, Streamed) and outcome.relay.done

    @property
    def complete(self) -> bool:
        """Tell whether every request has begun to answer."""
        return len(self.outcomes) == len(self.trips)

    def in_order(self) -> tuple[Outcome, ...]:
        """Return the outcomes in the order of the choices."""
        return tuple(self.outcomes[number] for number in range(len(self.trips)))


class Reading:
    """The merged stream, as far as it is read: what the sync and the async reader share."""

    def __init__(
        self,
        gathering: Gathering,
        chorus: Chorus,
        trip: Any,
    ) -> None:
        self.early = gathering.early
        self.whole = [(n, one.body) for n, one in enumerate(gathering.in_order()) if isinstance(one, Rewritten)]
        self._open = {n for n, one in enumerate(gathering.in_order()) if isinstance(one, Streamed)}
        self._chorus = chorus
        self._trip = trip
        self._first = True

    def ending(self, error: BaseException | None = None) -> bool:
        """Tell of the end as soon as it is known; return whether it is an error: SDKs 1.x don't close a stream that raises."""
        with suppress(Exception):  # an answer is worth more than what is known of it
            if self._first and error is None:
                self._first = False
                self._trip.heard()
            if error is not None or self._chorus.done:
                self._trip.over("APIError" if error is None and self._chorus.failed else error)
        return error is not None or self._chorus.failed

    @property
    def over(self) -> bool:
        """Tell whether there is nothing more to be read, upstream's last bytes included."""
        return self._chorus.failed or not (self._open or self.whole)

    @property
    def said(self) -> bool:
        """Tell whether all has been said, though upstream may still have something to send."""
        return self._chorus.done

    def take_whole(self) -> bytes:
        """Take an answer that came in one piece."""
        number, body = self.whole.pop(0)
        out = self._chorus.feed(number, body)
        self._close(number)
        return out

    def take(self, brought: Brought) -> bytes:
        """Take a piece of a stream, its end or its error; raises the latter."""
        number, what = brought
        if isinstance(what, bytes):
            return self._chorus.feed(number, what)
        self._open.discard(number)
        if isinstance(what, BaseException):
            if isinstance(what, Exception) and self._chorus.ended(number):
                return b""  # it had said its last word
            try:
                raise what
            finally:
                del what, brought
        self._close(number)
        return b""

    def _close(self, number: int) -> None:
        try:
            self._chorus.close(number)
        except StreamTruncated as error:
            raise self._trip.truncated(str(error)) from None
