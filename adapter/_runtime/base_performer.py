"""What a request's trips have in common, sync and async: its record, the reply's head, and the reply that is made of an outcome."""

from __future__ import annotations

from functools import cached_property
from math import inf
from typing import Any

from adapter._exchange.call import exchange, follow, stored
from adapter._exchange.effects import Head, Journey, Merged, Outcome, Rewritten, Send, Streamed
from adapter._exchange.endpoints import stored_endpoint
from adapter._exchange.record import Journal
from adapter._exchange.stream import Relay
from adapter._http import header_fields
from adapter._http.bodies import Sent
from adapter._http.libraries import Family
from adapter._http.memory_scope import whose_of
from adapter._http.messages import outgoing, reply_headers
from adapter._memory.keys import Whose

from . import background_clock
from .call_context import Ticket
from .log import note
from .observation import Watch

_HEAD = frozenset({b"location", b"content-type", b"content-encoding", b"retry-after"})

GRACE = 5.0
"""How many seconds a caller who leaves may have to wait until the run that it left is cancelled."""


def _seconds(value: str | None) -> float | None:
    try:
        seconds = float(value or "")
    except ValueError:
        return None  # a date, or nothing
    return seconds if 0 <= seconds < inf else None


class TripBase:
    """What the sync and the async trip have in common."""

    def __init__(self, family: Family, inner: Any, request: Any, ticket: Ticket, *, branch: bool = False) -> None:
        self.family = family
        self.inner = inner
        self.request = request
        self.ticket = ticket
        self.upstream: Any = None
        self.sent: Any = None  # the request's body
        self.native = False  # what was sent last is the call as it came
        self._encoded = False  # upstream's reply, for its way here
        self.on_leaving: bytes | None = None  # where to POST if the caller leaves
        self._began = background_clock.now()
        self._branch = branch  # one of several requests of a call, which is put on record as a whole
        self._watch = Watch(ticket, request) if ticket.router.observers and not branch else None

    @property
    def journal(self) -> Journal:
        """The record of the call."""
        return self.ticket.journal

    @cached_property
    def whose(self) -> Whose:
        """Whose turns the call is about."""
        ticket = self.ticket
        tenants = ticket.router.memory.tenants
        return whose_of(self.request, ticket.overrides.conversation, token=ticket.token, tenants=tenants)

    def journey(self) -> Journey:
        """Return the journey that this request is to go."""
        method, raw_path = self.request.method, self.request.url.raw_path
        if method == "POST":
            named = bool(self.ticket.overrides.conversation)
            return exchange(self.journal, raw_path, self.capacity(), named=named, host=self.host)
        ours = self.ticket.router.adapts(self.request.url.host)
        question = stored_endpoint(method, raw_path) if ours else None
        return follow(self.journal) if question is None else stored(question)

    def host(self) -> str:
        """Return the host that the request goes to."""
        found: str = self.request.url.host
        return found

    def capacity(self) -> int | None:
        """Return how many connections there can be at once; None where that can't be told."""
        pool = getattr(self.inner, "_pool", None)  # private, in httpx 0.27 to httpx2 2.12
        most = getattr(pool, "_max_connections", None)
        return most if isinstance(most, int) else None

    @property
    def strict(self) -> bool:
        """Tell whether the adapter's own bugs are to be raised."""
        choice = self.journal.choice
        return self.ticket.router.settings.on_bug == "raise" or (choice is not None and choice.on_bug == "raise")

    def branches(self, count: int) -> list[Any]:
        """Make trips for several requests of this call."""
        return [type(self)(self.family, self.inner, self.request, self.ticket, branch=True) for _ in range(count)]

    @property
    def left(self) -> float:
        """How many seconds the call may still last: as long as its timeout says that reading may."""
        most = (self.request.extensions.get("timeout") or {}).get("read")
        return inf if most is None else most - (background_clock.now() - self._began)

    def farewell(self) -> Any:
        """Return the request that cancels what the caller leaves behind, once; None where there is nothing."""
        path, self.on_leaving = self.on_leaving, None
        if path is None or (self.relay is not None and self.relay.done):
            return None
        made = outgoing(self.request, Send(path=path, method="POST"), self.family)
        made.extensions = {**made.extensions, "timeout": dict.fromkeys(("connect", "read", "write", "pool"), GRACE)}
        return made

    def note(self) -> None:
        """Put the call on record."""
        if not self._branch:
            note(self.journal)

    def over(self, error: BaseException | str | None = None) -> None:
        """Put the call on record and tell of it: the end of its stream is known."""
        if error is not None:
            self.on_leaving = None  # it broke off, and nobody has left: what runs can still be asked for
        self.note()
        if self._watch is not None:
            self._watch.over(error)

    def heard(self) -> None:
        """Take note of the first piece of a stream."""
        if self._watch is not None:
            self._watch.piece(b" ")

    def booked(self, relay: Relay) -> None:
        """Take note of how far a stream is, before its reader sees it."""
        self.heard()
        if relay.done:
            self.over("APIError" if relay.broken else None)  # what the SDK makes of an error frame

    def ended(self, error: BaseException) -> None:
        """Put a call on record that brought nothing, and tell of it."""
        self.note()
        if self._watch is not None:
            self._watch.fail(error)

    def head(self, sent: Any) -> Head:
        """Tell the journey of the reply's head."""
        headers = self.upstream.headers
        found = header_fields.some(headers, _HEAD)
        self._encoded = b"content-encoding" in found
        location = found.get(b"location")
        if sent is not self.request and location and not location.startswith("/") and "://" not in location:
            # A path relative to the one that was sent to; the HTTP client would resolve it against the chat URL.
            headers["location"] = str(sent.url.join(location))
        status = self.upstream.status_code
        return Head(
            status, found.get(b"content-type", ""), _seconds(found.get(b"retry-after")) if status >= 400 else None
        )

    def _unread(self) -> bool:
        """Tell whether the reply's body is still to be read, and is as it was sent: then it is read past the HTTP library's decoders."""
        upstream = self.upstream
        return not (self._encoded or upstream.is_stream_consumed or upstream.is_closed or hasattr(upstream, "_content"))

    def truncated(self, why: str) -> Exception:
        """Make the exception for a stream that ends too soon."""
        error: Exception = self.family.RemoteProtocolError(why, request=self.request)
        return error

    def closed_early(self) -> Exception:
        """Make the exception for a stream that is read after it was closed."""
        error: Exception = self.family.ReadError("the stream was closed before its end", request=self.request)
        return error

    def response(self, outcome: Outcome, body: Any) -> Any:
        """Make a reply with a body of ours."""
        status = outcome.status if isinstance(outcome, Rewritten) else self.upstream.status_code
        extensions = {} if self.upstream is None else self.upstream.extensions
        if self.upstream is not None and status != self.upstream.status_code:
            extensions = {key: value for key, value in extensions.items() if key != "reason_phrase"}
        made = self.family.reply(status, reply_headers(self.upstream, outcome, self.family), body, extensions)
        made._trip = self
        return made

    def whole(self, outcome: Rewritten) -> Any:
        """Make a reply whose body is at hand."""
        made = self.response(outcome, self.family.ByteStream(outcome.body))
        made._whole, made._value = outcome.body, outcome.value
        if self._watch is not None:
            try:
                self._watch.status, self._watch.usage = outcome.status, self.journal.usage
                self._watch.end()
            except Exception:  # a call is not lost for its record
                if self.strict:
                    raise
        return made

    def passing(self) -> Any:
        """Return upstream's reply, untouched; watched where somebody observes."""
        if self._watch is not None:
            try:
                self._watch.status = self.upstream.status_code
                if self.upstream.is_closed:  # read before it came: a stand-in's for a test
                    self._watch.whole(self.upstream)
                else:
                    self.upstream.stream = self.family.Passing(self.upstream.stream, self._watch, self.upstream.headers)
            except Exception:  # as above
                if self.strict:
                    raise
        return self.upstream

    several: Any = None
    relay: Relay | None = None  # of the stream under way
    _frames: Any  # what a stream is read through
    pumped: Any  # relays a stream

    def stream(self, outcome: Outcome) -> Any:
        """Give the bytes of a reply that is a stream, watched where somebody observes; None where there is none."""
        if isinstance(outcome, Streamed):
            self._begin_watching(outcome)
            return self.pieces(outcome)
        if not isinstance(outcome, Merged):
            return None
        self._begin_watching(outcome)
        return self.several.pump(outcome.chorus, self)

    def pieces(self, outcome: Streamed) -> Any:
        """Give a stream's bytes, or its frames."""
        self.relay = outcome.relay
        if isinstance(self.sent, Sent):
            self.sent.release()  # it may hold megabytes, and a stream minutes
        self.sent = None
        return self._frames(outcome.relay, self.pumped(outcome), self)

    def _begin_watching(self, outcome: Outcome) -> None:
        if self._watch is not None:
            self._watch.status = outcome.status if isinstance(outcome, Rewritten) else self.upstream.status_code
            self._watch.usage = self.journal.usage
