"""The wire door: transports that rewrite `POST …/chat/completions` into `POST …/responses`, and the reply back.

HTTP duties (MAPPING §9.3): headers are copied but for the lengths; `extensions` (timeouts, trace hooks) go along;
compressed replies are read decompressed and lose their encoding's headers; closing the body closes upstream; requests
that aren't ours pass untouched.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, Self

from adapter.endpoints import kind_of, stored_endpoint
from adapter.exchange import (
    Decide,
    Effect,
    Head,
    Journey,
    Note,
    Outcome,
    ReadChunk,
    ReadReply,
    ReadRequest,
    Rewritten,
    Send,
    Streamed,
    exchange,
    follow,
    stored,
)
from adapter.journal import Journal
from adapter.routing.decide import HEADER
from adapter.routing.settings import Settings

from .bodies import AOnce, APump, once, outlive, pump
from .drive import adrive, drive
from .families import Family, family_of
from .record import note
from .ticket import KEY, Ticket, ticket_of

# The message's own framing: it doesn't fit a body that was rewritten.
_FRAMING = {b"content-length", b"transfer-encoding", b"content-encoding"}


def is_ours(request: Any) -> bool:
    """Tell whether a request is a chat call, or a question about a stored completion that is a Response."""
    return kind_of(request.method, request.url.raw_path) is not None


def _outgoing(request: Any, send: Send) -> Any:
    """Make the request that goes out; the caller's is left as it is."""
    if send.body is None and send.path is None and HEADER not in request.headers:
        return request
    cls = type(request)
    extensions = {key: value for key, value in request.extensions.items() if key != KEY}
    url = request.url if send.path is None else request.url.copy_with(raw_path=send.path)
    gone = {HEADER.encode()} if send.body is None else {HEADER.encode(), b"content-length", b"transfer-encoding"}
    headers = [(name, value) for name, value in request.headers.raw if name.lower() not in gone]
    content: Any = {"stream": request.stream} if send.body is None else {"content": send.body}
    return cls(request.method, url, headers=headers, extensions=extensions, **content)


def _passing(request: Any) -> Any:
    """Return a request that passes; one that a redirect made of ours still bears our header."""
    return request if ticket_of(request) is None else _outgoing(request, Send())


class _Door:
    """What the sync and the async transport have in common."""

    def __init__(self, inner: Any = None, *, settings: Settings | None = None) -> None:
        self._inner = inner
        self._settings = settings
        self._tickets_only = False  # set for a client's own wrapping: requests of others pass

    def _ticket(self, request: Any) -> Ticket | None:
        """Return the ticket under which this request is ours to carry, or None where it passes."""
        ticket = ticket_of(request)
        if ticket is None:
            if self._tickets_only or not is_ours(request):
                return None
            if self._settings is None:
                self._settings = Settings()
            # Into the caller's own dict: redirects and the SDK's exceptions lead back to it.
            ticket = request.extensions[KEY] = Ticket(self._settings)
        elif ticket.carried or (ticket.journal.translation is None and not is_ours(request)):
            return None
        return ticket

    _made_of: str  # the family's class that is wrapped when nothing was given

    def _inner_for(self, family: Family) -> Any:
        if self._inner is None:
            # The SDK's own limits (openai/_constants.py).
            limits = family.Limits(max_connections=1000, max_keepalive_connections=100)
            self._inner = getattr(family, self._made_of)(limits=limits)
        return self._inner

    def __getattr__(self, name: str) -> Any:
        # Code that looks into a client's transport (its pool, its proxy) still finds what it looks for.
        if name.startswith("__") or name == "_inner" or self._inner is None:
            raise AttributeError(name)
        return getattr(self._inner, name)


def _reply_headers(upstream: Any, outcome: Outcome) -> list[tuple[bytes, bytes]]:
    kept = [] if upstream is None else [(k, v) for k, v in upstream.headers.raw if k.lower() not in _FRAMING]
    if isinstance(outcome, Rewritten):
        own = {b"content-type": outcome.content_type.encode(), b"content-length": str(len(outcome.body)).encode()}
        own |= {name.encode(): value.encode() for name, value in outcome.headers.items()}
        if not outcome.content_type:
            del own[b"content-type"]
        kept = [(k, v) for k, v in kept if k.lower() not in own] + list(own.items())
    return [*kept, (HEADER.encode(), b"responses")]


class Transport(_Door):
    """Wrap a sync transport of httpx2 or httpx; one is made on first use when none is given.

    For any library that accepts an `http_client`. Acts on every `POST …/chat/completions` that passes, as `settings`
    say (default: from the environment); everything else goes through untouched.
    """

    _made_of = "HTTPTransport"

    def handle_request(self, request: Any) -> Any:
        """Carry one request (the transport interface of the HTTP library)."""
        family = family_of(request)
        inner = self._inner_for(family)
        ticket = self._ticket(request)
        if ticket is None:
            return inner.handle_request(_passing(request))
        trip = _Trip(family, inner, request, ticket)
        ticket.carried = True
        try:
            outcome = drive(trip.journey(), trip.perform)
        except BaseException:
            trip.finish()
            raise
        finally:
            ticket.carried = False
        return trip.reply(outcome)

    def close(self) -> None:
        """Close the inner transport."""
        if self._inner is not None:
            self._inner.close()

    def __enter__(self) -> Self:
        if self._inner is not None:
            self._inner.__enter__()
        return self

    def __exit__(self, *args: object) -> None:
        if self._inner is not None:
            self._inner.__exit__(*args)


class AsyncTransport(_Door):
    """Wrap an async transport of httpx2 or httpx; one is made on first use when none is given. See Transport."""

    _made_of = "AsyncHTTPTransport"

    async def handle_async_request(self, request: Any) -> Any:
        """Carry one request (the transport interface of the HTTP library)."""
        family = family_of(request)
        inner = self._inner_for(family)
        ticket = self._ticket(request)
        if ticket is None:
            return await inner.handle_async_request(_passing(request))
        trip = _AsyncTrip(family, inner, request, ticket)
        ticket.carried = True
        try:
            outcome = await adrive(trip.journey(), trip.perform)
        except BaseException:
            await trip.finish()
            raise
        finally:
            ticket.carried = False
        return await trip.reply(outcome)

    async def aclose(self) -> None:
        """Close the inner transport."""
        if self._inner is not None:
            await self._inner.aclose()

    async def __aenter__(self) -> Self:
        if self._inner is not None:
            await self._inner.__aenter__()
        return self

    async def __aexit__(self, *args: object) -> None:
        if self._inner is not None:
            await self._inner.__aexit__(*args)


class _TripBase:
    """One request on its way through a door, and the reply on its way back."""

    def __init__(self, family: Family, inner: Any, request: Any, ticket: Ticket) -> None:
        self.family = family
        self.inner = inner
        self.request = request
        self.ticket = ticket
        self.upstream: Any = None

    @property
    def journal(self) -> Journal:
        return self.ticket.journal

    def note(self) -> None:
        note(self.journal)

    def journey(self) -> Journey:
        method, raw_path = self.request.method, self.request.url.raw_path
        if method == "POST":
            return exchange(self.journal, raw_path)
        question = stored_endpoint(method, raw_path)
        return follow(self.journal) if question is None else stored(question)

    def head(self, sent: Any) -> Head:
        location = self.upstream.headers.get("location")
        if sent is not self.request and location and not location.startswith("/") and "://" not in location:
            # A path relative to the one that was sent to; the HTTP client would resolve it against the chat URL.
            self.upstream.headers["location"] = str(sent.url.join(location))
        return Head(self.upstream.status_code, self.upstream.headers.get("content-type", ""))

    def truncated(self, why: str) -> Exception:
        error: Exception = self.family.RemoteProtocolError(why, request=self.request)
        return error

    def closed_early(self) -> Exception:
        error: Exception = self.family.ReadError("the stream was closed before its end", request=self.request)
        return error

    def response(self, outcome: Outcome, body: Any) -> Any:
        status = outcome.status if isinstance(outcome, Rewritten) else self.upstream.status_code
        extensions = {} if self.upstream is None else self.upstream.extensions
        if self.upstream is not None and status != self.upstream.status_code:
            extensions = {key: value for key, value in extensions.items() if key != "reason_phrase"}
        headers = _reply_headers(self.upstream, outcome)
        return self.family.Response(status, headers=headers, stream=body, extensions=extensions)


class _Trip(_TripBase):
    chunks: Iterator[bytes] | None = None

    def perform(self, effect: Effect) -> Any:
        match effect:
            case Decide():
                return self.ticket.decide(effect, self.request.headers)
            case ReadRequest():
                return self.request.read()
            case Send():
                sent = _outgoing(self.request, effect)
                self.upstream = self.inner.handle_request(sent)
                return self.head(sent)
            case ReadReply():
                return self.upstream.read()
            case ReadChunk():
                return next(self._source(), None)
            case Note():
                self.note()
        return None

    def reply(self, outcome: Outcome) -> Any:
        match outcome:
            case Rewritten(body=body):
                self.close()
                return self.response(outcome, self.family.Body(once(body), self.close))
            case Streamed():
                stream = pump(outcome, self._source(), self.truncated, self.note)
                return self.response(outcome, self.family.Body(stream, self.finish))
        return self.upstream

    def _source(self) -> Iterator[bytes]:
        if self.chunks is None:
            self.chunks = self.upstream.iter_bytes()
        return self.chunks

    def finish(self) -> None:
        self.note()
        self.close()

    def close(self) -> None:
        if self.upstream is not None:
            self.upstream.close()


class _AsyncTrip(_TripBase):
    chunks: AsyncIterator[bytes] | None = None

    async def perform(self, effect: Effect) -> Any:
        match effect:
            case Decide():
                return self.ticket.decide(effect, self.request.headers)
            case ReadRequest():
                return await self.request.aread()
            case Send():
                sent = _outgoing(self.request, effect)
                self.upstream = await self.inner.handle_async_request(sent)
                return self.head(sent)
            case ReadReply():
                return await self.upstream.aread()
            case ReadChunk():
                return await anext(self._source(), None)
            case Note():
                self.note()
        return None

    async def reply(self, outcome: Outcome) -> Any:
        match outcome:
            case Rewritten(body=body):
                await self.aclose()
                return self.response(outcome, self.family.AsyncBody(AOnce(body), self.aclose))
            case Streamed():
                body = self.family.AsyncBody(
                    APump(outcome, self._source(), self.truncated, self.closed_early, self.note), self.finish
                )
                outlive(body, self)
                return self.response(outcome, body)
        return self.upstream

    def _source(self) -> AsyncIterator[bytes]:
        if self.chunks is None:
            self.chunks = self.upstream.aiter_bytes()
        return self.chunks

    async def finish(self) -> None:
        self.note()
        await self.aclose()

    async def aclose(self) -> None:
        if self.upstream is not None:
            await self.upstream.aclose()


def wrap(http_client: Any, door: Callable[..., Any]) -> None:
    """Put a door around each transport of an HTTP client, in place and once: proxies, CA settings and limits stay in force.

    The client's transports are private attributes, present in httpx 0.28 and httpx2 2.16 (MAPPING §9.5).
    """
    http_client._transport = _wrapped(http_client._transport, door)
    for pattern, transport in http_client._mounts.items():
        if transport is not None:
            http_client._mounts[pattern] = _wrapped(transport, door)


def _wrapped(transport: Any, door: Callable[..., Any]) -> Any:
    if isinstance(transport, _Door) and transport._tickets_only:
        return transport
    made = door(transport)
    made._tickets_only = True
    return made


def unwrap(http_client: Any) -> None:
    """Take the doors off again."""
    http_client._transport = _unwrapped(http_client._transport)
    for pattern, transport in http_client._mounts.items():
        http_client._mounts[pattern] = _unwrapped(transport)


def _unwrapped(transport: Any) -> Any:
    return transport._inner if isinstance(transport, _Door) and transport._tickets_only else transport
