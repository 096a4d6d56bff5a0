"""The wire door: transports that rewrite `POST …/chat/completions` into `POST …/responses`, and the reply back.

HTTP duties (MAPPING §9.3): headers are copied but for the lengths; `extensions` (timeouts, trace hooks) go along;
compressed replies are read decompressed and lose their encoding's headers; closing the body closes upstream; requests
that aren't ours pass untouched.
"""

from __future__ import annotations

import sys
from contextlib import AsyncExitStack, ExitStack
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Self, TypeVar

from adapter._exchange.effects import Send
from adapter._exchange.endpoints import kind_of
from adapter._routing.reload import Live, live
from adapter._routing.router import HEADER
from adapter._runtime.call_context import KEY, PASSED_ON, Quiet, Ticket, begin, ticket_of
from adapter._runtime.internal_errors import before_sending, unmoved
from adapter._runtime.performer import AsyncTrip, Trip
from adapter._settings.coercion import Given, settings_of

from . import connection_pools, header_fields
from .libraries import Bases, Family, family_of
from .messages import outgoing

if TYPE_CHECKING:
    from .libraries import AsyncBaseTransport, BaseTransport

_OURS = HEADER.encode()

_Trip = TypeVar("_Trip", Trip, AsyncTrip)


class Protocol(NamedTuple):
    """What one kind of clients asks of a transport."""

    clients: str
    method: str
    argument: str
    made_of: str  # the library's own class


SYNC = Protocol("sync clients", "handle_request", "inner", "HTTPTransport")
ASYNC = Protocol("async clients", "handle_async_request", "async_inner", "AsyncHTTPTransport")


def is_ours(request: Any) -> bool:
    """Tell whether a request is a chat call, or a question about a stored completion that is a Response."""
    return kind_of(request.method, request.url.raw_path) is not None


class _Door:
    """What both protocols have in common."""

    _live: Live | None  # None: it acts on requests with a ticket alone

    # What carries a request, in sync code and in async code. `adapter.testing.chat_mock_transport` puts others in their place.
    _trips: ClassVar[tuple[type[Trip], type[AsyncTrip]]] = (Trip, AsyncTrip)

    def _passing(self, request: Any) -> Any:
        """Return a request that passes, without our header; where the door is another client's as well, only if it is from ours."""
        if self._live is None and KEY not in request.extensions:
            return request
        return outgoing(request, Send(), family_of(request))

    def _ticket(self, request: Any) -> Ticket | None:
        """Return the ticket under which this request is ours to carry, or None where it passes."""
        ticket = ticket_of(request)
        if type(ticket) is Quiet:  # and a hook has named a backend since
            ticket = request.extensions[KEY] = Ticket(ticket.router, ticket.by_client)
        if ticket is None:
            if self._live is None or not is_ours(request):
                return None
            # Into the caller's own dict: redirects and the SDK's exceptions lead back to it.
            ticket = request.extensions[KEY] = begin(self._live)
        elif ticket.carried or (ticket.journal.translation is None and not is_ours(request)):
            return None
        return ticket

    def _trip(self, kind: type[_Trip], inner: Any, request: Any) -> tuple[_Trip | None, Any]:
        """Return the trip that a request is to go; or none, and the request that passes."""
        ticket = self._ticket(request)
        if ticket is None:
            return None, self._passing(request)
        if ticket.stays(request):
            return None, request
        return kind(family_of(request), inner, request, ticket), request

    def _rescued(self, request: Any, bug: Exception) -> Any:
        """Return the reply for a request on which the adapter failed before it was on its way; None where it is to be sent as it came."""
        ticket = request.extensions.get(KEY)
        router = ticket.router if isinstance(ticket, Ticket) else None if self._live is None else self._live.router
        return before_sending(request, ticket, router, bug)

    def _untouched(self, request: Any) -> Any:
        """Return a request as it came, without our header. See `_passing`, which may be what has failed."""
        return request if self._live is None and KEY not in request.extensions else unmoved(request)


class Transport(_Door, Bases):
    """Wrap a transport of httpx2 or httpx, for any library that accepts an `http_client`.

    One object serves sync clients, through `inner`, and async ones, through `async_inner`; where neither is given, one is
    made on first use. One that is given for both, or has both protocols, serves both. Acts on every
    `POST …/chat/completions` that passes, as `settings` say (default: from the environment); everything else goes through
    untouched. `close` closes what serves sync clients, `aclose` everything. Raises TypeError for what is no transport,
    and in a call of a client for which nothing that was given has the protocol.
    """

    def __init__(
        self,
        inner: BaseTransport | None = None,
        *,
        async_inner: AsyncBaseTransport | None = None,
        settings: Given = None,
    ) -> None:
        self._given = tuple(one for one in (inner, async_inner) if one is not None)
        for one in self._given:
            _check(one)
        self._inner = _serving(SYNC, inner, async_inner)
        self._async_inner = _serving(ASYNC, async_inner, inner)
        self._made: dict[tuple[str, str], Any] = {}
        # Read here: bad settings are an error at start, not in the first call.
        self._live = live(settings_of(settings))
        connection_pools.watch(self)

    @classmethod
    def for_tickets(cls, inner: Any) -> Self:
        """Make the door of a client's own transport: it acts on requests with a ticket, and those of others pass."""
        made = cls.__new__(cls)
        made._given, made._inner, made._async_inner, made._made, made._live = (inner,), inner, inner, {}, None
        connection_pools.watch(made)
        return made

    def handle_request(self, request: Any) -> Any:
        """Carry one request (the transport interface of the HTTP library)."""
        inner, trip, coming = self._inner, None, request
        if inner is None and self._given:
            raise self._unfit(request, SYNC)
        try:
            if inner is None:
                inner = self._default(family_of(request), SYNC)
            if type(request.extensions.get(KEY)) is not Quiet or header_fields.has(request.headers, _OURS):
                trip, request = self._trip(self._trips[0], inner, request)
                if trip is not None:
                    return trip.go()
        except Exception as bug:
            if hasattr(bug, PASSED_ON):
                raise
            made = self._rescued(coming, bug) if trip is None else trip.rescued(bug)
            if made is not None:
                return made
            inner, request = inner or self._bare(coming, SYNC), self._untouched(coming)
        return inner.handle_request(request)

    async def handle_async_request(self, request: Any) -> Any:
        """Carry one request (the transport interface of the HTTP library)."""
        inner, trip, coming = self._async_inner, None, request
        if inner is None and self._given:
            raise self._unfit(request, ASYNC)
        try:
            if inner is None:
                inner = self._default(family_of(request), ASYNC)
            if type(request.extensions.get(KEY)) is not Quiet or header_fields.has(request.headers, _OURS):
                trip, request = self._trip(self._trips[1], inner, request)
                if trip is not None:
                    return await trip.go()
        except Exception as bug:
            if hasattr(bug, PASSED_ON):
                raise
            made = self._rescued(coming, bug) if trip is None else await trip.rescued(bug)
            if made is not None:
                return made
            inner, request = inner or self._bare(coming, ASYNC), self._untouched(coming)
        return await inner.handle_async_request(request)

    def _unfit(self, request: Any, protocol: Protocol) -> TypeError:
        """Make what is raised where nothing that was given serves a client."""
        library = type(request).__module__.partition(".")[0]
        given = " and ".join(type(one).__name__ for one in self._given)
        return TypeError(
            f"{type(self).__name__} wraps {given}, which can't serve {protocol.clients}: "
            f"give {protocol.argument}={library}.{protocol.made_of}()"
        )

    def _default(self, family: Family, protocol: Protocol) -> Any:
        """Return the transport that nobody has given, one for each library that asks."""
        key = (family.name, protocol.made_of)
        made = self._made.get(key)
        if made is None:
            # The SDK's own limits (openai/_constants.py).
            limits = family.Limits(max_connections=1000, max_keepalive_connections=100)
            # Of two threads that both make one, one wins.
            made = self._made.setdefault(key, getattr(family, protocol.made_of)(limits=limits))
        return made

    def _bare(self, request: Any, protocol: Protocol) -> Any:
        """Make the transport that nobody has given, where `_default` fails."""
        library = type(request).__module__.partition(".")[0]
        key = (library, protocol.made_of)
        return self._made.get(key) or self._made.setdefault(key, getattr(sys.modules[library], protocol.made_of)())

    def _of(self, protocol: Protocol) -> list[Any]:
        """Return all that serves one kind of clients, or will when it is asked."""
        given = self._inner if protocol is SYNC else self._async_inner
        made = [one for (_, made_of), one in self._made.items() if made_of == protocol.made_of]
        return made if given is None else [given, *made]

    def _sync_alone(self) -> list[Any]:
        return [one for one in self._of(SYNC) if one is not self._async_inner]

    def close(self) -> None:
        """Close what serves sync clients."""
        with ExitStack() as closing:
            for one in self._of(SYNC):
                closing.callback(one.close)

    async def aclose(self) -> None:
        """Close what serves async clients, and sync ones."""
        async with AsyncExitStack() as closing:
            for one in self._of(ASYNC):
                closing.push_async_callback(one.aclose)
            for one in self._sync_alone():
                closing.callback(one.close)

    def __enter__(self) -> Self:
        if self._inner is not None:
            self._inner.__enter__()
        return self

    def __exit__(self, *args: object) -> None:
        with ExitStack() as closing:
            for one in self._of(SYNC):
                closing.callback(one.__exit__, *args)

    async def __aenter__(self) -> Self:
        if self._async_inner is not None:
            await self._async_inner.__aenter__()
        return self

    async def __aexit__(self, *args: object) -> None:
        async with AsyncExitStack() as closing:
            for one in self._of(ASYNC):
                closing.push_async_callback(one.__aexit__, *args)
            for one in self._sync_alone():
                closing.callback(one.close)

    if not TYPE_CHECKING:  # a checker would take every name for one that there is

        def __getattr__(self, name: str) -> Any:
            # Code that looks into a client's transport (its pool, its proxy) still finds what it looks for.
            if not name.startswith("__") and "_made" in self.__dict__:
                for one in (*self._given, *self._made.values()):
                    if hasattr(one, name):
                        return getattr(one, name)
            raise AttributeError(name)


class AsyncTransport(Transport):
    """A `Transport` whose argument is the transport for async clients."""

    def __init__(self, async_inner: AsyncBaseTransport | None = None, *, settings: Given = None) -> None:
        super().__init__(async_inner=async_inner, settings=settings)


def _serving(protocol: Protocol, *given: Any) -> Any:
    """Return the first of what was given that has a protocol."""
    return next((one for one in given if one is not None and hasattr(one, protocol.method)), None)


def _check(given: Any) -> None:
    """Refuse what is no transport, such as a client, a class, or settings without their name."""
    if isinstance(given, type):
        raise TypeError(f"expected a transport of httpx2 or httpx, got the class {given.__name__}")
    if not any(hasattr(given, protocol.method) for protocol in (SYNC, ASYNC)):
        raise TypeError(
            f"expected a transport of httpx2 or httpx, got {type(given).__name__}; settings are given as settings=…"
        )


def wrap(http_client: Any, door: type[Transport]) -> None:
    """Put a door around each transport of an HTTP client, in place and once: proxies, CA settings and limits stay in force.

    The client's transports are private attributes, present in httpx 0.28 and httpx2 2.16 (MAPPING §9.5).
    """
    http_client._transport = _wrapped(http_client._transport, door)
    for pattern, transport in http_client._mounts.items():
        if transport is not None:
            http_client._mounts[pattern] = _wrapped(transport, door)


def _wrapped(transport: Any, door: type[Transport]) -> Any:
    return transport if _is_for_tickets(transport) else door.for_tickets(transport)


def _is_for_tickets(transport: Any) -> bool:
    return isinstance(transport, Transport) and transport._live is None


def unwrap(http_client: Any) -> None:
    """Take the doors off again."""
    http_client._transport = _unwrapped(http_client._transport)
    for pattern, transport in http_client._mounts.items():
        http_client._mounts[pattern] = _unwrapped(transport)


def _unwrapped(transport: Any) -> Any:
    return transport._inner if _is_for_tickets(transport) else transport
