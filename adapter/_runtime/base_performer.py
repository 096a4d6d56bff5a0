"""The part of a performer that does no I/O: records, the reply's head, the reply of an outcome."""

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
"""Seconds that a caller that leaves may wait until its background run is cancelled."""


def _seconds(value: str | None) -> float | None:
    try:
        seconds = float(value or "")
    except ValueError:
        return None  # a date, or nothing
    return seconds if 0 <= seconds < inf else None


class BasePerformer:
    """What the sync and the async performer have in common.

    One performs the effects of one request, its retries without parts included, and makes the
    reply. `library` is the HTTP library of the request, `inner` the transport that sends. With
    `branch` it is one of several requests of a call, which is recorded as a whole.
    """

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
        self.native = False  # whether the call as it came was sent last
        self._encoded = False  # whether the reply has a content-encoding
        self.cancel_path: bytes | None = None  # where to POST if the caller leaves
        self._started = background_clock.now()
        self._branch = branch
        self._observer = (
            ReplyObserver(context, request) if context.router.observers and not branch else None
        )

    @property
    def state(self) -> CallState:
        """The state of the call."""
        return self.context.state

    @cached_property
    def memory_scope(self) -> MemoryScope:
        """The scope of the memory that the call uses."""
        context = self.context
        tenants = context.router.memory.tenants
        return memory_scope_of(
            self.request, context.overrides.conversation, token=context.token, tenants=tenants
        )

    def start_exchange(self) -> Exchange:
        """Return the exchange of this request: a call, a redirected one, or a stored completion."""
        method, raw_path = self.request.method, self.request.url.raw_path
        if method == "POST":
            named = bool(self.context.overrides.conversation)
            return exchange(
                self.state, raw_path, self.max_connections(), named=named, host=self.host
            )
        adapts = self.context.router.adapts(self.request.url.host)
        endpoint = stored_endpoint(method, raw_path) if adapts else None
        return follow_redirect(self.state) if endpoint is None else stored_completion(endpoint)

    def host(self) -> str:
        """Return the host that the request goes to."""
        found: str = self.request.url.host
        return found

    def max_connections(self) -> int | None:
        """Return the connection limit of the inner transport's pool; None if unknown."""
        pool = getattr(self.inner, "_pool", None)  # private, in httpx 0.27 to httpx2 2.12
        most = getattr(pool, "_max_connections", None)
        return most if isinstance(most, int) else None

    @property
    def strict(self) -> bool:
        """Whether the adapter's own bugs are to be raised."""
        route = self.state.route
        return self.context.router.settings.on_bug == "raise" or (
            route is not None and route.on_bug == "raise"
        )

    def branches(self, count: int) -> list[Any]:
        """Make performers for several requests of this call."""
        return [
            type(self)(self.library, self.inner, self.request, self.context, branch=True)
            for _ in range(count)
        ]

    @property
    def seconds_left(self) -> float:
        """Seconds that the call may still last, by its read timeout."""
        most = (self.request.extensions.get("timeout") or {}).get("read")
        return inf if most is None else most - (background_clock.now() - self._started)

    def cancel_request(self) -> Any:
        """Return the request that cancels the call's background run, once; None without a run."""
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
        """Write the call's log lines; the whole call does it for a branch."""
        if not self._branch:
            log_call(self.state)

    def stream_ended(self, error: BaseException | str | None = None) -> None:
        """Log and record a call whose stream has ended, maybe by an error or the name of one."""
        if error is not None:
            # The stream broke off and its caller hasn't left: the run can still be retrieved.
            self.cancel_path = None
        self.log_call()
        if self._observer is not None:
            self._observer.stream_ended(error)

    def first_piece_received(self) -> None:
        """Record that the first piece of a stream has arrived."""
        if self._observer is not None:
            self._observer.add_piece(b" ")

    def stream_progressed(self, translator: StreamTranslator) -> None:
        """Record the first piece and the end of a stream, before its reader sees them."""
        self.first_piece_received()
        if translator.done:
            # The SDK raises an APIError for an error frame.
            self.stream_ended("APIError" if translator.failed else None)

    def call_failed(self, error: BaseException) -> None:
        """Log and record a call that got no reply."""
        self.log_call()
        if self._observer is not None:
            self._observer.failed(error)

    def head(self, sent: Any) -> ReplyHead:
        """Return the head of upstream's reply to the request `sent`."""
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
            # Relative to the path that was sent to; the HTTP client would use the Chat URL.
            headers["location"] = str(sent.url.join(location))
        status = self.upstream.status_code
        return ReplyHead(
            status,
            found.get(b"content-type", ""),
            _seconds(found.get(b"retry-after")) if status >= 400 else None,
        )

    def _is_unread(self) -> bool:
        """Return whether the reply's body is unread and without an encoding."""
        upstream = self.upstream
        return not (
            self._encoded
            or upstream.is_stream_consumed
            or upstream.is_closed
            or hasattr(upstream, "_content")
        )

    def truncated_error(self, why: str) -> Exception:
        """Make the exception for a stream that ends before its terminal event."""
        error: Exception = self.library.RemoteProtocolError(why, request=self.request)
        return error

    def closed_error(self) -> Exception:
        """Make the exception for a stream that is read after it was closed."""
        error: Exception = self.library.ReadError(
            "the stream was closed before its end", request=self.request
        )
        return error

    def response(self, outcome: Outcome, body: Any) -> Any:
        """Make a reply of the request's HTTP library, with another body than upstream's."""
        status = outcome.status if isinstance(outcome, WholeReply) else self.upstream.status_code
        extensions = {} if self.upstream is None else self.upstream.extensions
        if self.upstream is not None and status != self.upstream.status_code:
            extensions = {key: value for key, value in extensions.items() if key != "reason_phrase"}
        headers = reply_headers(self.upstream, outcome, self.library)
        return self.library.Reply(status, headers=headers, stream=body, extensions=extensions)

    def stream_reply(self, outcome: Outcome, body: Any) -> Any:
        """Make a reply whose body is a stream of the adapter."""
        made = self.response(outcome, body)
        made._body = body
        return made

    def whole_reply(self, outcome: WholeReply) -> Any:
        """Make a reply whose body is known."""
        made = self.response(outcome, self.library.ByteStream(outcome.body))
        made._context = self.context
        if self._observer is not None:
            try:
                self._observer.status, self._observer.usage = outcome.status, self.state.usage
                self._observer.finish()
            except Exception:  # the reply is worth more than its record
                if self.strict:
                    raise
        return made

    def pass_through(self) -> Any:
        """Return upstream's reply, untouched; its stream is observed if there are observers."""
        if self._observer is not None:
            try:
                self._observer.status = self.upstream.status_code
                if self.upstream.is_closed:  # read before: a mock transport's
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
    _frame_reader: Any  # the class of a stream's reader
    frames: Any  # translates a stream, frame by frame

    def stream(self, outcome: Outcome) -> Any:
        """Return the reader of a reply that is a stream; None if it isn't one."""
        if isinstance(outcome, StreamReply):
            self._start_observing(outcome)
            return self.pieces(outcome)
        if not isinstance(outcome, MergedStreamReply):
            return None
        self._start_observing(outcome)
        return self.fan_out.iter_bytes(outcome.merger, self)

    def pieces(self, outcome: StreamReply) -> Any:
        """Return the reader of one stream's bytes or frames."""
        self.translator = outcome.translator
        if isinstance(self.sent_body, RequestBody):
            self.sent_body.release()  # it may hold megabytes for minutes
        self.sent_body = None
        return self._frame_reader(outcome.translator, self.frames(outcome), self)

    def _start_observing(self, outcome: Outcome) -> None:
        if self._observer is not None:
            self._observer.status = (
                outcome.status if isinstance(outcome, WholeReply) else self.upstream.status_code
            )
            self._observer.usage = self.state.usage
