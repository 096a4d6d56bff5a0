"""The wire door: transports that rewrite `POST …/chat/completions` into `POST …/responses`, and the reply back.

HTTP duties (MAPPING §9.3): headers are copied but for the lengths; `extensions` (timeouts, trace hooks) go along;
compressed replies are read decompressed and lose their encoding's headers; closing the body closes upstream; requests
that aren't ours pass untouched.
"""

from __future__ import annotations

import sys
from typing import Any, Self, TypeVar

from adapter.effects import Send
from adapter.endpoints import kind_of
from adapter.routing.decide import HEADER
from adapter.routing.given import Given, settings_of
from adapter.routing.live import Live, live

from . import fields, forks
from .envelopes import outgoing
from .families import Family, family_of
from .internal_errors import before_sending, unmoved
from .ticket import KEY, PASSED_ON, Quiet, Ticket, begin, ticket_of
from .trips import AsyncTrip, Trip

_OURS = HEADER.encode()

_Trip = TypeVar("_Trip", Trip, AsyncTrip)


def is_ours(request: Any) -> bool:
    """Tell whether a request is a chat call, or a question about a stored completion that is a Response."""
    return kind_of(request.method, request.url.raw_path) is not None


class _Door:
    """What the sync and the async transport have in common."""

    def __init__(self, inner: Any = None, *, settings: Given = None) -> None:
        self._inner = inner
        # Read here: bad settings are an error at start, not in the first call.
        self._live: Live | None = live(settings_of(settings))
        forks.watch(self)

    def _passing(self, request: Any) -> Any:
        """Return a request that passes, without our header; where the door is another client's as well, only if it is from ours."""
        if self._live is None and KEY not in request.extensions:
            return request
        return outgoing(request, Send(), family_of(request))

    @classmethod
    def for_tickets(cls, inner: Any) -> Self:
        """Make the door of a client's own transport: it acts on requests with a ticket, and those of others pass."""
        made = cls.__new__(cls)
        made._inner, made._live = inner, None
        forks.watch(made)
        return made

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

    def _bare(self, request: Any) -> Any:
        """Make the transport that nobody has given, where `_made_for` fails."""
        self._inner = getattr(sys.modules[type(request).__module__.partition(".")[0]], self._made_of)()
        return self._inner

    _made_of: str  # the family's class that is wrapped when nothing was given

    def _made_for(self, family: Family) -> Any:
        """Make the transport that nobody has given."""
        # The SDK's own limits (openai/_constants.py).
        limits = family.Limits(max_connections=1000, max_keepalive_connections=100)
        self._inner = getattr(family, self._made_of)(limits=limits)
        return self._inner

    def __getattr__(self, name: str) -> Any:
        # Code that looks into a client's transport (its pool, its proxy) still finds what it looks for.
        if name.startswith("__") or name == "_inner" or self._inner is None:
            raise AttributeError(name)
        return getattr(self._inner, name)


class Transport(_Door):
    """Wrap a sync transport of httpx2 or httpx; one is made on first use when none is given.

    For any library that accepts an `http_client`. Acts on every `POST …/chat/completions` that passes, as `settings`
    say (default: from the environment); everything else goes through untouched.
    """

    _made_of = "HTTPTransport"

    def handle_request(self, request: Any) -> Any:
        """Carry one request (the transport interface of the HTTP library)."""
        inner, trip, coming = self._inner, None, request
        try:
            if inner is None:
                inner = self._made_for(family_of(request))
            if type(request.extensions.get(KEY)) is not Quiet or fields.has(request.headers, _OURS):
                trip, request = self._trip(Trip, inner, request)
                if trip is not None:
                    return trip.go()
        except Exception as bug:
            if hasattr(bug, PASSED_ON):
                raise
            made = self._rescued(coming, bug) if trip is None else trip.rescued(bug)
            if made is not None:
                return made
            inner, request = inner or self._bare(coming), self._untouched(coming)
        return inner.handle_request(request)

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
        inner, trip, coming = self._inner, None, request
        try:
            if inner is None:
                inner = self._made_for(family_of(request))
            if type(request.extensions.get(KEY)) is not Quiet or fields.has(request.headers, _OURS):
                trip, request = self._trip(AsyncTrip, inner, request)
                if trip is not None:
                    return await trip.go()
        except Exception as bug:
            if hasattr(bug, PASSED_ON):
                raise
            made = self._rescued(coming, bug) if trip is None else await trip.rescued(bug)
            if made is not None:
                return made
            inner, request = inner or self._bare(coming), self._untouched(coming)
        return await inner.handle_async_request(request)

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


def wrap(http_client: Any, door: type[_Door]) -> None:
    """Put a door around each transport of an HTTP client, in place and once: proxies, CA settings and limits stay in force.

    The client's transports are private attributes, present in httpx 0.28 and httpx2 2.16 (MAPPING §9.5).
    """
    http_client._transport = _wrapped(http_client._transport, door)
    for pattern, transport in http_client._mounts.items():
        if transport is not None:
            http_client._mounts[pattern] = _wrapped(transport, door)


def _wrapped(transport: Any, door: type[_Door]) -> Any:
    return transport if _is_for_tickets(transport) else door.for_tickets(transport)


def _is_for_tickets(transport: Any) -> bool:
    return isinstance(transport, _Door) and transport._live is None


def unwrap(http_client: Any) -> None:
    """Take the doors off again."""
    http_client._transport = _unwrapped(http_client._transport)
    for pattern, transport in http_client._mounts.items():
        http_client._mounts[pattern] = _unwrapped(transport)


def _unwrapped(transport: Any) -> Any:
    return transport._inner if _is_for_tickets(transport) else transport
