"""Transports that turn `POST …/chat/completions` into `POST …/responses`, and the reply back.

HTTP duties (docs/mapping.md#http-duties): headers are copied but for the lengths; `extensions`
(timeouts, trace hooks) are kept; compressed replies are decompressed and lose the headers of their
encoding; closing the body closes upstream; requests that aren't handled pass untouched.
"""

from __future__ import annotations

import sys
from contextlib import AsyncExitStack, ExitStack
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Self

from adapter._exchange.effects import Send
from adapter._exchange.endpoints import classify_request
from adapter._routing.reload import SettingsReloader, reloader_of
from adapter._routing.router import HEADER
from adapter._runtime.call_context import (
    EXTENSION,
    EXTERNAL_ERROR,
    CallContext,
    OffCallContext,
    context_of,
    start_call,
)
from adapter._runtime.performer import AsyncPerformer, Performer
from adapter._settings.coercion import SettingsLike, settings_of

from . import connection_pools, header_fields
from .incoming_request import HttpRequest
from .libraries import HttpLibrary, TransportBases, library_of
from .messages import outgoing_request
from .recovery import recover_before_sending, without_header
from .upstream import AsyncHttpUpstream, HttpUpstream

if TYPE_CHECKING:
    from .libraries import AsyncBaseTransport, BaseTransport

_HEADER = HEADER.encode()


class TransportProtocol(NamedTuple):
    """What sync or async clients need of a transport, in words for error messages."""

    clients: str
    method: str
    argument: str
    default_class: str


SYNC = TransportProtocol("sync clients", "handle_request", "inner", "HTTPTransport")
ASYNC = TransportProtocol(
    "async clients", "handle_async_request", "async_inner", "AsyncHTTPTransport"
)


def is_handled(request: Any) -> bool:
    """Return whether a request is a chat call, or for a stored completion that is a Response."""
    return classify_request(request.method, request.url.raw_path) is not None


class _TransportBase:
    """What both protocols have in common."""

    _reloader: SettingsReloader | None  # None: acts only on requests with a context

    # The sync and the async one; `adapter.testing.chat_mock_performer` replaces them.
    _performers: ClassVar[dict[type, Any]] = {
        HttpUpstream: Performer,
        AsyncHttpUpstream: AsyncPerformer,
    }

    def _forwarded_request(self, request: Any) -> Any:
        """Return a request to forward as it is, without the adapter's header.

        The transport of an adapted client leaves requests of other clients alone.
        """
        if self._reloader is None and EXTENSION not in request.extensions:
            return request
        return outgoing_request(request, Send(), library_of(request))

    def _context_for(self, request: Any) -> CallContext | None:
        """Return the context of a request to handle; None if it is to be forwarded."""
        context = context_of(request)
        if type(context) is OffCallContext:  # a hook has named a backend
            context = request.extensions[EXTENSION] = CallContext(context.router, context.by_client)
        if context is None:
            if self._reloader is None or not is_handled(request):
                return None
            # Into the caller's own dict: redirects and the SDK's exceptions lead back to it.
            context = request.extensions[EXTENSION] = start_call(self._reloader)
        elif context.in_progress or (context.state.translation is None and not is_handled(request)):
            return None
        return context

    def _performer_for(
        self, upstream_class: type[HttpUpstream | AsyncHttpUpstream], inner: Any, request: Any
    ) -> tuple[Any, Any]:
        """Return the performer of a request to handle; or None, and the request to forward."""
        context = self._context_for(request)
        if context is None:
            return None, self._forwarded_request(request)
        incoming = HttpRequest(request)
        if context.passes_untouched(incoming):
            return None, request
        upstream = upstream_class(library_of(request), inner, request, context)
        return self._performers[upstream_class](incoming, upstream, context), request

    def _recover(self, request: Any, bug: Exception) -> Any:
        """Return the reply to a request on which the adapter failed before it sent anything.

        None if it is to be sent as it came.
        """
        context = request.extensions.get(EXTENSION)
        router = (
            context.router
            if isinstance(context, CallContext)
            else None
            if self._reloader is None
            else self._reloader.router
        )
        return recover_before_sending(request, context, router, bug)

    def _unchanged_request(self, request: Any) -> Any:
        """Return a request as it came, without the adapter's header.

        Like `_forwarded_request`, which may be what failed.
        """
        return (
            request
            if self._reloader is None and EXTENSION not in request.extensions
            else without_header(request)
        )


class Transport(_TransportBase, TransportBases):
    """Wrap a transport of httpx2 or httpx, for any library that accepts an `http_client`.

    One object serves sync clients, through `inner`, and async ones, through `async_inner`; if
    neither is given, one is made on first use. A transport that is given for both, or has both
    protocols, serves both. Handles every `POST …/chat/completions` by `settings` (default: from
    the environment); all other requests pass untouched. `close` closes what serves sync clients,
    `aclose` everything. Raises TypeError for an object that is no transport, and in a call of a
    client whose protocol no given transport has.
    """

    def __init__(
        self,
        inner: BaseTransport | None = None,
        *,
        async_inner: AsyncBaseTransport | None = None,
        settings: SettingsLike = None,
    ) -> None:
        self._given = tuple(one for one in (inner, async_inner) if one is not None)
        for one in self._given:
            _check(one)
        self._inner = _first_supporting(SYNC, inner, async_inner)
        self._async_inner = _first_supporting(ASYNC, async_inner, inner)
        self._defaults: dict[tuple[str, str], Any] = {}
        # Here, so that bad settings are an error at start and not in the first call.
        self._reloader = reloader_of(settings_of(settings))
        connection_pools.empty_after_fork(self)

    @classmethod
    def for_client(cls, inner: Any) -> Self:
        """Wrap a client's transport: handle only requests that carry a call context."""
        made = cls.__new__(cls)
        made._given, made._inner, made._async_inner, made._defaults, made._reloader = (
            (inner,),
            inner,
            inner,
            {},
            None,
        )
        connection_pools.empty_after_fork(made)
        return made

    def handle_request(self, request: Any) -> Any:
        """Handle one request (the transport interface of the HTTP library)."""
        inner, performer, original = self._inner, None, request
        if inner is None and self._given:
            raise self._unsuitable_error(request, SYNC)
        try:
            if inner is None:
                inner = self._default(library_of(request), SYNC)
            if type(request.extensions.get(EXTENSION)) is not OffCallContext or header_fields.has(
                request.headers, _HEADER
            ):
                performer, request = self._performer_for(HttpUpstream, inner, request)
                if performer is not None:
                    return performer.run()
        except Exception as bug:
            if hasattr(bug, EXTERNAL_ERROR):
                raise
            if performer is not None:
                performer.abort_branches()
            if performer is None or performer.context.requests_sent == 0:
                made = self._recover(original, bug)
            else:
                made = performer.recover(bug)
            if made is not None:
                return made
            inner, request = (
                inner or self._plain_default(original, SYNC),
                self._unchanged_request(original),
            )
        return inner.handle_request(request)

    async def handle_async_request(self, request: Any) -> Any:
        """Handle one request (the transport interface of the HTTP library)."""
        inner, performer, original = self._async_inner, None, request
        if inner is None and self._given:
            raise self._unsuitable_error(request, ASYNC)
        try:
            if inner is None:
                inner = self._default(library_of(request), ASYNC)
            if type(request.extensions.get(EXTENSION)) is not OffCallContext or header_fields.has(
                request.headers, _HEADER
            ):
                performer, request = self._performer_for(AsyncHttpUpstream, inner, request)
                if performer is not None:
                    return await performer.run()
        except Exception as bug:
            if hasattr(bug, EXTERNAL_ERROR):
                raise
            if performer is not None:
                await performer.abort_branches()
            if performer is None or performer.context.requests_sent == 0:
                made = self._recover(original, bug)
            else:
                made = await performer.recover(bug)
            if made is not None:
                return made
            inner, request = (
                inner or self._plain_default(original, ASYNC),
                self._unchanged_request(original),
            )
        return await inner.handle_async_request(request)

    def _unsuitable_error(self, request: Any, protocol: TransportProtocol) -> TypeError:
        """Make the error for a client that no given transport serves."""
        library = type(request).__module__.partition(".")[0]
        given = " and ".join(type(one).__name__ for one in self._given)
        return TypeError(
            f"{type(self).__name__} wraps {given}, which can't serve {protocol.clients}: "
            f"give {protocol.argument}={library}.{protocol.default_class}()"
        )

    def _default(self, library: HttpLibrary, protocol: TransportProtocol) -> Any:
        """Return the default transport of an HTTP library, made on first use."""
        key = (library.name, protocol.default_class)
        made = self._defaults.get(key)
        if made is None:
            # The SDK's own limits.
            limits = library.Limits(max_connections=1000, max_keepalive_connections=100)
            # Two threads may both make one; the first one is kept.
            made = self._defaults.setdefault(
                key, getattr(library, protocol.default_class)(limits=limits)
            )
        return made

    def _plain_default(self, request: Any, protocol: TransportProtocol) -> Any:
        """Return a default transport without the rest of the package, which may have failed."""
        library = type(request).__module__.partition(".")[0]
        key = (library, protocol.default_class)
        return self._defaults.get(key) or self._defaults.setdefault(
            key, getattr(sys.modules[library], protocol.default_class)()
        )

    def _transports(self, protocol: TransportProtocol) -> list[Any]:
        """Return the transports that serve sync or async clients."""
        given = self._inner if protocol is SYNC else self._async_inner
        made = [one for (_, name), one in self._defaults.items() if name == protocol.default_class]
        return made if given is None else [given, *made]

    def _sync_only(self) -> list[Any]:
        return [one for one in self._transports(SYNC) if one is not self._async_inner]

    def close(self) -> None:
        """Close what serves sync clients."""
        with ExitStack() as closing:
            for one in self._transports(SYNC):
                closing.callback(one.close)

    async def aclose(self) -> None:
        """Close what serves async clients, and sync ones."""
        async with AsyncExitStack() as closing:
            for one in self._transports(ASYNC):
                closing.push_async_callback(one.aclose)
            for one in self._sync_only():
                closing.callback(one.close)

    def __enter__(self) -> Self:
        if self._inner is not None:
            self._inner.__enter__()
        return self

    def __exit__(self, *args: object) -> None:
        with ExitStack() as closing:
            for one in self._transports(SYNC):
                closing.callback(one.__exit__, *args)

    async def __aenter__(self) -> Self:
        if self._async_inner is not None:
            await self._async_inner.__aenter__()
        return self

    async def __aexit__(self, *args: object) -> None:
        async with AsyncExitStack() as closing:
            for one in self._transports(ASYNC):
                closing.push_async_callback(one.__aexit__, *args)
            for one in self._sync_only():
                closing.callback(one.close)

    if not TYPE_CHECKING:  # a type checker would accept every name

        def __getattr__(self, name: str) -> Any:
            # For code that looks into a client's transport (its pool, its proxy).
            if not name.startswith("__") and "_defaults" in self.__dict__:
                for one in (*self._given, *self._defaults.values()):
                    if hasattr(one, name):
                        return getattr(one, name)
            raise AttributeError(name)


class AsyncTransport(Transport):
    """A `Transport` whose argument is the transport for async clients."""

    def __init__(
        self, async_inner: AsyncBaseTransport | None = None, *, settings: SettingsLike = None
    ) -> None:
        super().__init__(async_inner=async_inner, settings=settings)


def _first_supporting(protocol: TransportProtocol, *given: Any) -> Any:
    """Return the first given transport that has a protocol."""
    return next((one for one in given if one is not None and hasattr(one, protocol.method)), None)


def _check(given: Any) -> None:
    """Raise TypeError for an object that is no transport, such as a client, class or settings."""
    if isinstance(given, type):
        raise TypeError(f"expected a transport of httpx2 or httpx, got the class {given.__name__}")
    if not any(hasattr(given, protocol.method) for protocol in (SYNC, ASYNC)):
        raise TypeError(
            f"expected a transport of httpx2 or httpx, got {type(given).__name__}; "
            "settings are given as settings=…"
        )


def wrap(http_client: Any, transport_class: type[Transport]) -> None:
    """Wrap each transport of an HTTP client, in place and once.

    Proxies, certificates and limits stay in force. The client's transports are private attributes
    of httpx 0.28 and httpx2 2.16 (docs/mapping.md#http-clients).
    """
    http_client._transport = _wrapped(http_client._transport, transport_class)
    for pattern, transport in http_client._mounts.items():
        if transport is not None:
            http_client._mounts[pattern] = _wrapped(transport, transport_class)


def _wrapped(transport: Any, transport_class: type[Transport]) -> Any:
    return transport if _is_client_transport(transport) else transport_class.for_client(transport)


def _is_client_transport(transport: Any) -> bool:
    return isinstance(transport, Transport) and transport._reloader is None


def unwrap(http_client: Any) -> None:
    """Put the HTTP client's own transports back."""
    http_client._transport = _unwrapped(http_client._transport)
    for pattern, transport in http_client._mounts.items():
        http_client._mounts[pattern] = _unwrapped(transport)


def _unwrapped(transport: Any) -> Any:
    return transport._inner if _is_client_transport(transport) else transport
