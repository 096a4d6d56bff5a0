"""What a request's trips have in common, sync and async: its record, the reply's head, and the reply that is made of an outcome."""

from __future__ import annotations

from functools import cached_property
from math import inf
from typing import Any

from adapter._exchange.call import exchange, follow_redirect, stored_completion
from adapter._exchange.effects import (
    Exchange,
    MergedStreamReply,
    Outcome,
    ReplyHead,
    Send,
    StreamReply,
    WholeReply,
)
from adapter._exchange.endpoints import stored_endpoint
from adapter._exchange.record import CallState
from adapter._exchange.stream import StreamTranslator
from adapter._http import header_fields
from adapter._http.bodies import RequestBody
from adapter._http.libraries import HttpLibrary
from adapter._http.memory_scope import memory_scope_of
from adapter._http.messages import outgoing_request, reply_headers
from adapter._memory.keys import MemoryScope

from . import background_clock
from .call_context import CallContext
from .log import log_call
from .observation import ReplyObserver

_HEAD_FIELDS = frozenset({b"location", b"content-type", b"content-encoding", b"retry-after"})

GRACE = 5.0
"""How many seconds a caller who leaves may have to wait until the run that it left is cancelled."""


def _seconds(value: str | None) -> float | None:
    try:
        seconds = float(value or "")
    except ValueError:
        return None  # a date, or nothing
    return seconds if 0 <= seconds < inf else None


class BasePerformer:
    """What the sync and the async trip have in common."""

    def __init__(
        self,
        library: HttpLibrary,
        inner: Any,
        request: Any,
        context: CallContext,
        *,
        branch: bool = False,
    ) -> None:
        self.library = library
        self.inner = inner
        self.request = request
        self.context = context
        self.upstream: Any = None
        self.sent_body: Any = None  # the request's body
        self.native = False  # what was sent last is the call as it came
        self._encoded = False  # upstream's reply, for its way here
        self.cancel_path: bytes | None = None  # where to POST if the caller leaves
        self._started = background_clock.now()
        self._branch = (
            branch  # one of several requests of a call, which is put on record as a whole
        )
        self._observer = (
            ReplyObserver(context, request) if context.router.observers and not branch else None
        )

    @property
    def state(self) -> CallState:
        """The record of the call."""
        return self.context.state

    @cached_property
    def memory_scope(self) -> MemoryScope:
        """Whose turns the call is about."""
        context = self.context
        tenants = context.router.memory.tenants
        return memory_scope_of(
            self.request, context.overrides.conversation, token=context.token, tenants=tenants
        )

    def start_exchange(self) -> Exchange:
        """Return the journey that this request is to go."""
        method, raw_path = self.request.method, self.request.url.raw_path
        if method == "POST":
            named = bool(self.context.overrides.conversation)
            return exchange(
                self.state, raw_path, self.max_connections(), named=named, host=self.host
            )
        ours = self.context.router.adapts(self.request.url.host)
        question = stored_endpoint(method, raw_path) if ours else None
        return follow_redirect(self.state) if question is None else stored_completion(question)

    def host(self) -> str:
        """Return the host that the request goes to."""
        found: str = self.request.url.host
        return found

    def max_connections(self) -> int | None:
        """Return how many connections there can be at once; None where that can't be told."""
        pool = getattr(self.inner, "_pool", None)  # private, in httpx 0.27 to httpx2 2.12
        most = getattr(pool, "_max_connections", None)
        return most if isinstance(most, int) else None

    @property
    def strict(self) -> bool:
        """Tell whether the adapter's own bugs are to be raised."""
        route = self.state.route
        return self.context.router.settings.on_bug == "raise" or (
            route is not None and route.on_bug == "raise"
        )

    def branches(self, count: int) -> list[Any]:
        """Make trips for several requests of this call."""
        return [
            type(self)(self.library, self.inner, self.request, self.context, branch=True)
            for _ in range(count)
        ]

    @property
    def seconds_left(self) -> float:
        """How many seconds the call may still last: as long as its timeout says that reading may."""
        most = (self.request.extensions.get("timeout") or {}).get("read")
        return inf if most is None else most - (background_clock.now() - self._started)

    def cancel_request(self) -> Any:
        """Return the request that cancels what the caller leaves behind, once; None where there is nothing."""
        path, self.cancel_path = self.cancel_path, None
        if path is None or (self.translator is not None and self.translator.done):
            return None
        made = outgoing_request(self.request, Send(path=path, method="POST"), self.library)
        made.extensions = {
            **made.extensions,
            "timeout": dict.fromkeys(("connect", "read", "write", "pool"), GRACE),
        }
        return made

    def log_call(self) -> None:
        """Put the call on record."""
        if not self._branch:
            log_call(self.state)

    def stream_ended(self, error: BaseException | str | None = None) -> None:
        """Put the call on record and tell of it: the end of its stream is known."""
        if error is not None:
            self.cancel_path = (
                None  # it broke off, and nobody has left: what runs can still be asked for
            )
        self.log_call()
        if self._observer is not None:
            self._observer.stream_ended(error)

    def first_piece_received(self) -> None:
        """Take note of the first piece of a stream."""
        if self._observer is not None:
            self._observer.add_piece(b" ")

    def stream_progressed(self, translator: StreamTranslator) -> None:
        """Take note of how far a stream is, before its reader sees it."""
        self.first_piece_received()
        if translator.done:
            self.stream_ended(
                "APIError" if translator.failed else None
            )  # what the SDK makes of an error frame

    def call_failed(self, error: BaseException) -> None:
        """Put a call on record that brought nothing, and tell of it."""
        self.log_call()
        if self._observer is not None:
            self._observer.failed(error)

    def head(self, sent: Any) -> ReplyHead:
        """Tell the journey of the reply's head."""
        headers = self.upstream.headers
        found = header_fields.first_values(headers, _HEAD_FIELDS)
        self._encoded = b"content-encoding" in found
        location = found.get(b"location")
        if (
            sent is not self.request
            and location
            and not location.startswith("/")
            and "://" not in location
        ):
            # A path relative to the one that was sent to; the HTTP client would resolve it against the chat URL.
            headers["location"] = str(sent.url.join(location))
        status = self.upstream.status_code
        return ReplyHead(
            status,
            found.get(b"content-type", ""),
            _seconds(found.get(b"retry-after")) if status >= 400 else None,
        )

    def _is_unread(self) -> bool:
        """Tell whether the reply's body is still to be read, and is as it was sent: then it is read past the HTTP library's decoders."""
        upstream = self.upstream
        return not (
            self._encoded
            or upstream.is_stream_consumed
            or upstream.is_closed
            or hasattr(upstream, "_content")
        )

    def truncated_error(self, why: str) -> Exception:
        """Make the exception for a stream that ends too soon."""
        error: Exception = self.library.RemoteProtocolError(why, request=self.request)
        return error

    def closed_error(self) -> Exception:
        """Make the exception for a stream that is read after it was closed."""
        error: Exception = self.library.ReadError(
            "the stream was closed before its end", request=self.request
        )
        return error

    def response(self, outcome: Outcome, body: Any) -> Any:
        """Make a reply with a body of ours."""
        status = outcome.status if isinstance(outcome, WholeReply) else self.upstream.status_code
        extensions = {} if self.upstream is None else self.upstream.extensions
        if self.upstream is not None and status != self.upstream.status_code:
            extensions = {key: value for key, value in extensions.items() if key != "reason_phrase"}
        made = self.library.reply(
            status, reply_headers(self.upstream, outcome, self.library), body, extensions
        )
        made._performer = self
        return made

    def whole_reply(self, outcome: WholeReply) -> Any:
        """Make a reply whose body is at hand."""
        made = self.response(outcome, self.library.ByteStream(outcome.body))
        made._whole_body, made._json_value = outcome.body, outcome.value
        if self._observer is not None:
            try:
                self._observer.status, self._observer.usage = outcome.status, self.state.usage
                self._observer.finish()
            except Exception:  # a call is not lost for its record
                if self.strict:
                    raise
        return made

    def pass_through(self) -> Any:
        """Return upstream's reply, untouched; watched where somebody observes."""
        if self._observer is not None:
            try:
                self._observer.status = self.upstream.status_code
                if self.upstream.is_closed:  # read before it came: a stand-in's for a test
                    self._observer.add_whole_reply(self.upstream)
                else:
                    self.upstream.stream = self.library.ObservedStream(
                        self.upstream.stream, self._observer, self.upstream.headers
                    )
            except Exception:  # as above
                if self.strict:
                    raise
        return self.upstream

    fan_out: Any = None
    translator: StreamTranslator | None = None  # of the stream under way
    _frame_reader: Any  # what a stream is read through
    frames: Any  # relays a stream

    def stream(self, outcome: Outcome) -> Any:
        """Give the bytes of a reply that is a stream, watched where somebody observes; None where there is none."""
        if isinstance(outcome, StreamReply):
            self._start_observing(outcome)
            return self.pieces(outcome)
        if not isinstance(outcome, MergedStreamReply):
            return None
        self._start_observing(outcome)
        return self.fan_out.iter_bytes(outcome.merger, self)

    def pieces(self, outcome: StreamReply) -> Any:
        """Give a stream's bytes, or its frames."""
        self.translator = outcome.translator
        if isinstance(self.sent_body, RequestBody):
            self.sent_body.release()  # it may hold megabytes, and a stream minutes
        self.sent_body = None
        return self._frame_reader(outcome.translator, self.frames(outcome), self)

    def _start_observing(self, outcome: Outcome) -> None:
        if self._observer is not None:
            self._observer.status = (
                outcome.status if isinstance(outcome, WholeReply) else self.upstream.status_code
            )
            self._observer.usage = self.state.usage
