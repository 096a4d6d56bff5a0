"""What happens to one request: its exchange, the reply, the end of a stream, and its records.

What happens in which order is written once, as generators of effects and steps, which
`performer.py` performs in sync and async code.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import suppress
from math import inf
from typing import Any

from adapter._exchange.call import exchange, follow_redirect, stored_completion
from adapter._exchange.effects import (
    Effect,
    Exchange,
    LearnMissingEndpoint,
    MergedStreamReply,
    Outcome,
    PassThrough,
    Remember,
    StreamReply,
    Wait,
    WholeReply,
)
from adapter._exchange.endpoints import stored_endpoint
from adapter._exchange.record import CallState, Route
from adapter._exchange.request_body import RequestBody
from adapter._exchange.stream import StreamTranslator
from adapter._memory.keys import MemoryScope

from . import background_clock, missing_endpoints
from .call_context import EXTERNAL_ERROR, CallContext
from .fan_out_results import MergedStreamReader
from .internal_errors import bug_message
from .log import log_call
from .observation import ReplyObserver
from .protocols import IncomingRequest
from .steps import Step
from .stream_iterators import AsyncStreamIterator, StreamIterator
from .stream_reader import StreamReader

Steps = Generator[Effect | Step, Any, Any]


class BasePerformer:
    """What happens to one request, its retries without refused parts included.

    With `branch` it is one of several requests of a call, which is recorded as a whole.
    """

    __slots__ = (
        "_branch", "_memory_scope", "_observer", "_started", "cancel_path", "context", "fan_out",
        "request", "translator", "upstream",
    )  # fmt: skip

    upstream: Any
    fan_out: Any
    _iterator: type[StreamIterator | AsyncStreamIterator]
    _drains: bool  # whether `[DONE]` is held back until upstream has ended

    def __init__(
        self, request: IncomingRequest, upstream: Any, context: CallContext, *, branch: bool = False
    ) -> None:
        self.request = request
        self.upstream = upstream
        self.context = context
        self.fan_out = None
        self.translator: StreamTranslator | None = None  # of the stream under way
        self.cancel_path: bytes | None = None  # where to POST if the caller leaves
        self._memory_scope: MemoryScope | None = None
        self._started = background_clock.now()
        self._branch = branch
        observed = context.router.observers and not branch
        self._observer = ReplyObserver(context, request) if observed else None

    @property
    def state(self) -> CallState:
        """The state of the call."""
        return self.context.state

    @property
    def memory_scope(self) -> MemoryScope:
        """The scope of the memory that the call uses."""
        if self._memory_scope is None:
            context = self.context
            self._memory_scope = self.request.memory_scope(
                context.overrides.conversation, context.token, context.router.memory.tenants
            )
        return self._memory_scope

    @property
    def strict(self) -> bool:
        """Whether the adapter's own bugs are to be raised."""
        route = self.state.route
        return self.context.router.settings.on_internal_error == "raise" or (
            route is not None and route.strict
        )

    @property
    def seconds_left(self) -> float:
        """Seconds that the call may still last, by its read timeout."""
        most = self.request.read_timeout
        return inf if most is None else most - (background_clock.now() - self._started)

    def start_exchange(self) -> Exchange:
        """Return the exchange of this request: a call, a redirected one, or a stored completion."""
        request, raw_path = self.request, self.request.raw_path
        if request.method == "POST":
            return exchange(
                self.state,
                raw_path,
                self.choose_gen,
                self.max_connections(),
                named=bool(self.context.overrides.conversation),
                host=lambda: request.host,
            )
        adapts = self.context.router.adapts(request.host)
        endpoint = stored_endpoint(request.method, raw_path) if adapts else None
        return follow_redirect(self.state) if endpoint is None else stored_completion(endpoint)

    def choose_gen(self, body: RequestBody) -> Generator[Effect, Any, Route]:
        """Choose the route of the call."""
        return self.context.choose_gen(self.request, body)

    def max_connections(self) -> int | None:
        """Return how many requests of the call may run at once; None if that is unknown."""
        most: int | None = self.upstream.max_connections
        return most

    def branches(self, count: int) -> list[Any]:
        """Make performers for several requests of this call."""
        return [
            type(self)(self.request, self.upstream.branch(), self.context, branch=True)
            for _ in range(count)
        ]

    # What happens, in sync and async code alike

    def run_gen(self) -> Steps:
        """Run the exchange, and return the reply for the caller.

        Exceptions that aren't the transport's are for `recover`.
        """
        self.context.in_progress = True
        try:
            outcome = yield from self.start_exchange()
        except BaseException as error:
            # A transport's StopIteration leaves the exchange as the cause of a RuntimeError.
            external = hasattr(error, EXTERNAL_ERROR) or isinstance(error.__cause__, StopIteration)
            if external or not isinstance(error, Exception):
                with suppress(Exception):
                    self._call_failed(error)
                try:
                    yield Step.CLOSE
                finally:
                    yield Step.CANCEL_RUN
            raise
        finally:
            self.context.in_progress = False
        return (yield from self._reply_gen(outcome))

    def _reply_gen(self, outcome: Outcome) -> Steps:
        """Make the reply for the caller."""
        if isinstance(outcome, WholeReply):
            if self.fan_out is not None:
                yield Step.CANCEL_BRANCHES
            yield Step.CLOSE
            made = self.upstream.make_reply(outcome, outcome.body)
        elif isinstance(outcome, PassThrough):
            made = self.upstream.reply
        else:
            return self.upstream.make_reply(outcome, self._stream(outcome))
        try:
            self._record(outcome)
        except Exception:  # the reply is worth more than its record
            if self.strict:
                raise
        return made

    def recover_gen(self, bug: Exception) -> Steps:
        """Return the reply of a call on which the adapter failed after sending.

        It is Chat's own reply if that is there and unread, else an error. Raise the bug if the
        settings say so.
        """
        made = None
        try:
            strict = self.strict
        except Exception:  # noqa: BLE001  # this may be what failed
            strict = False
        if not strict:
            made = self.upstream.native_reply()
            if made is not None:
                return made
            with suppress(Exception):
                self.state.reply = None
            made = self.upstream.error_reply(502, bug_message(bug, "reply"))
        with suppress(Exception):
            self._call_failed(bug)
        with suppress(Exception):
            yield Step.CLOSE
        if strict:
            raise bug
        return made

    def finish_gen(self) -> Steps:
        """Finish with a stream that was read, or left by its reader."""
        try:
            self.stream_ended()
            if self.translator is not None:
                self.translator.reader_left()
                entry = self.translator.take_entry()
                if entry is not None:
                    yield Remember(self.translator.model, entry)
        finally:  # also if the task is cancelled while it waits for the store
            if self.fan_out is not None:
                yield Step.CANCEL_BRANCHES
            else:
                try:
                    yield Step.CLOSE
                finally:
                    yield Step.CANCEL_RUN

    def _stream(self, outcome: Outcome) -> StreamIterator | AsyncStreamIterator:
        """Return the iterator of a reply that is a stream."""
        if self._observer is not None:
            self._observer.status = self.upstream.status
            self._observer.usage = self.state.usage
        if isinstance(outcome, StreamReply):
            stream: StreamIterator | AsyncStreamIterator = self.pieces(outcome)
            if self.fan_out is None:
                stream.keep_until_collected(self)
        else:
            assert isinstance(outcome, MergedStreamReply)
            merged = MergedStreamReader(self.fan_out.state, outcome.merger, self)
            stream = self._iterator(merged, self)
        if self.fan_out is not None:
            stream.call_when_collected(self.fan_out.stop)
        return stream

    def pieces(self, outcome: StreamReply) -> Any:
        """Return the iterator of one stream's bytes or frames."""
        self.translator = outcome.translator
        self.upstream.release_body()
        reader = StreamReader(outcome, self, drains=self._drains)
        return self._iterator(reader, self)

    # Records

    def _log(self) -> None:
        """Write the call's log lines; the whole call does it for a branch."""
        if not self._branch:
            log_call(self.state)

    def _record(self, outcome: Outcome) -> None:
        """Log and record a call whose reply is whole or passes as it is."""
        whole = isinstance(outcome, WholeReply)
        try:
            if whole or self.state.backend == "chat":  # else a redirect: the call goes on
                self._log()
        finally:
            if self._observer is None:
                pass
            elif isinstance(outcome, WholeReply):
                self._observer.status, self._observer.usage = outcome.status, self.state.usage
                self._observer.finish()
            else:
                self.upstream.observe(self._observer)

    def stream_ended(self, error: BaseException | str | None = None) -> None:
        """Log and record a call whose stream has ended, maybe by an error or the name of one."""
        if error is not None:
            # The stream broke off and its caller hasn't left: the run can still be retrieved.
            self.cancel_path = None
        self._log()
        if self._observer is not None:
            self._observer.stream_ended(error)

    def stream_progressed(self, translator: StreamTranslator) -> None:
        """Record the first piece and the end of a stream, before its reader sees them."""
        self.first_piece_received()
        if translator.done:
            # The SDK raises an APIError for an error frame.
            self.stream_ended("APIError" if translator.failed else None)

    def first_piece_received(self) -> None:
        """Record that the first piece of a stream has arrived."""
        if self._observer is not None:
            self._observer.add_piece(b" ")

    def _call_failed(self, error: BaseException) -> None:
        """Log and record a call that got no reply."""
        self._log()
        if self._observer is not None:
            self._observer.failed(error)

    # Effects that send nothing

    def learn_missing_endpoint(self, effect: LearnMissingEndpoint) -> None:
        """Remember that the server lacks an endpoint."""
        seconds = self.context.router.settings.fallback_expiry
        missing_endpoints.remember(self.request.base_url, seconds, effect.model)

    def waiting_seconds(self, effect: Wait) -> float:
        """Return how long to wait."""
        return max(min(effect.seconds, self.seconds_left), 0.0)

    def take_cancel_path(self) -> bytes | None:
        """Return where the call's background run is cancelled, once; None without a run."""
        path, self.cancel_path = self.cancel_path, None
        return None if self.translator is not None and self.translator.done else path
