"""Ensure that every request of the SDK's clients uses the open cassette, whatever its transport.

vcrpy knows the transports of httpx and httpx2, and a few more. An SDK client may have any other:
aiohttp's (`openai.DefaultAioHttpClient`), or one of its own. Bytes leave by the innermost transport
of the client, so vcrpy's stub is put there while the cassette is open. A request that is answered
without the cassette is reported as a problem (docs/guides/test-both-sides.md#recording).

An application that a test calls in its own process (`ASGITransport`, `WSGITransport`) is left
alone.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import wraps
from typing import Any

from vcr.stubs import httpx_stubs

from . import placeholder_keys
from .transports import NetworkExits, header_pairs, replaced

SDK_HEADER = "x-stainless-lang"
"""A header of every request of the SDK."""

_IN_PROCESS = (("WSGITransport", "handle_request"), ("ASGITransport", "handle_async_request"))
_SENDING = (("Client", "handle_request"), ("AsyncClient", "handle_async_request"))


class RefusedError(AssertionError):
    """A request isn't sent, since it would bypass the cassette."""


@dataclass(slots=True)
class _ClientRequest:
    """Whether the cassette has seen, and recorded, one request of an SDK client."""

    seen: bool = False
    recorded: bool = False


_CURRENT_REQUEST: ContextVar[_ClientRequest | None] = ContextVar(
    "adapter.testing.request", default=None
)


class CassetteGuard:
    """Watch which requests use a cassette and which bypass it.

    `asked` counts the requests that the cassette was asked for.
    """

    def __init__(self, cassette: Any, *, replay: bool) -> None:
        self._cassette = cassette
        self._replay = replay
        self._stack = ExitStack()
        self._unclaimed = 0
        self._problems: list[str] = []
        self.asked = 0

    # The cassette

    def watch_cassette(self) -> None:
        """Note which requests the cassette is asked for, and which it records."""
        can_play, record = self._cassette.can_play_response_for, self._cassette.append

        def can_play_response_for(request: Any) -> Any:
            self.asked += 1
            client_request = _CURRENT_REQUEST.get()
            if client_request is None:
                self._unclaimed += 1
            else:
                client_request.seen = True
            return can_play(request)

        def append(request: Any, response: Any) -> Any:
            client_request = _CURRENT_REQUEST.get()
            if client_request is not None:
                client_request.recorded = True
            return record(request, response)

        self._stack.enter_context(
            replaced(self._cassette, "can_play_response_for", can_play_response_for)
        )
        self._stack.enter_context(replaced(self._cassette, "append", append))

    # Requests of clients

    def watch_clients(self, library: Any) -> None:
        """Watch the requests of an HTTP library's clients, except those to in-process apps."""
        for name, method in _SENDING:
            client = getattr(library, name)
            send = _observed(self, client._send_single_request, method)
            self._stack.enter_context(replaced(client, "_send_single_request", send))
        for name, method in _IN_PROCESS:
            transport = getattr(library, name)
            stub = getattr(transport, method)
            if _is_stub(stub):
                handle = _only_for_sdk(stub, stub.__wrapped__)
                self._stack.enter_context(replaced(transport, method, handle))

    def start_request(
        self, client: Any, request: Any, method: str
    ) -> tuple[_ClientRequest, str] | None:
        """Start watching a request; also return the names of its innermost transports.

        None for a request that is neither the SDK's nor goes through the adapter.
        """
        chain = _chain(client._transport_for_url(request.url), method)
        if not (_is_sdk_request(request) or any(_is_adapter_transport(one) for one in chain)):
            return None
        if not self._replay:
            placeholder_keys.reject_stand_in(request.headers)
        ends = [one for one in chain if not _is_adapter_transport(one) and not _inner(one, method)]
        for end in ends:
            if not any(_is_stub(vars(kind).get(method)) for kind in type(end).__mro__):
                self._patch_transport(type(end), method, _library_of(type(client)))
        return _ClientRequest(), ", ".join(_name(type(end)) for end in ends)

    def finish_request(self, client_request: _ClientRequest, request: Any, transports: str) -> None:
        """Report a request that was answered without the cassette."""
        if client_request.seen:
            return
        if self._unclaimed:  # the transport used the cassette in another thread
            self._unclaimed -= 1
            return
        what = f"{request.method} {request.url.path}" + (f", by {transports}" if transports else "")
        self._problems.append(f"{what}, bypassed the cassette: vcrpy didn't see it")

    def _patch_transport(self, kind: type, method: str, library: Any) -> None:
        """Put vcrpy's stub on a transport class. Raise RefusedError if that isn't possible."""
        try:
            self._put_stub(kind, method, library)
        except (TypeError, AttributeError) as error:
            why = f"{_name(kind)} can't be recorded or replayed: its {method} can't be replaced"
            self._problems.append(why)
            raise RefusedError(why) from error

    def _put_stub(self, kind: type, method: str, library: Any) -> None:
        real = getattr(kind, method)
        make = (
            httpx_stubs.vcr_handle_request
            if method == "handle_request"
            else httpx_stubs.vcr_handle_async_request
        )
        stub = make(_UnlessRecorded(self._cassette), real, library)
        self._stack.enter_context(replaced(kind, method, _only_for_sdk(stub, real)))

    def problems(self) -> list[str]:
        """Return the requests that bypassed the cassette, or were about to, as sentences."""
        return list(dict.fromkeys(self._problems))

    def why_empty(self) -> str:
        """Return why nothing was recorded, given that nothing bypassed the cassette."""
        if self.asked:
            return f"{self.asked} request{'s' * (self.asked > 1)}, and no reply"
        return "no client of httpx or httpx2 (the SDK's libraries) made a request"

    # The network

    def block_network(self) -> None:
        """Block the SDK's requests to the network during a replay."""
        if self._replay:
            exits = NetworkExits(self._refuse)
            exits.watch()
            self._stack.callback(exits.close)

    def _refuse(self, headers: Any) -> None:
        __tracebackhide__ = True  # the arguments are headers
        if any(name == SDK_HEADER for name, _ in header_pairs(headers)):
            why = "a request would have left for the network, bypassing the cassette"
            self._problems.append(why)
            raise RefusedError(why)

    def close(self) -> None:
        """Undo all patches."""
        self._stack.close()


class _UnlessRecorded:
    """A cassette that skips a request already recorded by a transport further in.

    The inner transport saw what was really sent.
    """

    def __init__(self, cassette: Any) -> None:
        self._cassette = cassette

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cassette, name)

    def append(self, request: Any, response: Any) -> None:
        client_request = _CURRENT_REQUEST.get()
        if client_request is None or not client_request.recorded:
            self._cassette.append(request, response)


@contextmanager
def guarded(cassette: Any, *, replay: bool) -> Iterator[CassetteGuard]:
    """Guard an open cassette of vcrpy; `CassetteGuard.problems` lists what bypassed it."""
    guard = CassetteGuard(cassette, replay=replay)
    try:
        guard.watch_cassette()
        for name in ("httpx", "httpx2"):
            if name in sys.modules:
                guard.watch_clients(sys.modules[name])
        guard.block_network()
        yield guard
    finally:
        guard.close()


def _observed(guard: CassetteGuard, send: Callable[..., Any], method: str) -> Callable[..., Any]:
    def observed(client: Any, request: Any) -> Any:
        started = guard.start_request(client, request, method)
        if started is None:
            return send(client, request)
        token = _CURRENT_REQUEST.set(started[0])
        try:
            response = send(client, request)
        finally:
            _CURRENT_REQUEST.reset(token)
        guard.finish_request(started[0], request, started[1])
        return response

    async def observed_async(client: Any, request: Any) -> Any:
        started = guard.start_request(client, request, method)
        if started is None:
            return await send(client, request)
        token = _CURRENT_REQUEST.set(started[0])
        try:
            response = await send(client, request)
        finally:
            _CURRENT_REQUEST.reset(token)
        guard.finish_request(started[0], request, started[1])
        return response

    return wraps(send)(observed if method == "handle_request" else observed_async)


def _only_for_sdk(stub: Callable[..., Any], real: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(stub)
    def handle(transport: Any, request: Any) -> Any:
        return (stub if _CURRENT_REQUEST.get() is not None or _is_sdk_request(request) else real)(
            transport, request
        )

    return handle


def _name(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"


def _is_sdk_request(request: Any) -> bool:
    return SDK_HEADER in request.headers


def _is_adapter_transport(transport: Any) -> bool:
    return type(transport).__module__.startswith("adapter._http")


def _is_stub(method: Any) -> bool:
    """Return whether a method is vcrpy's stub, also if it has been wrapped since."""
    while method is not None:
        if getattr(method, "__code__", None) in _STUBS:
            return True
        method = getattr(method, "__wrapped__", None)
    return False


_STUBS = frozenset(
    make(None, object, None).__code__
    for make in (httpx_stubs.vcr_handle_request, httpx_stubs.vcr_handle_async_request)
)


def _chain(transport: Any, method: str) -> list[Any]:
    """List a transport and all transports inside it, at any depth."""
    found: dict[int, Any] = {}
    pending = [transport]
    while pending:
        one = pending.pop()
        if id(one) not in found:
            found[id(one)] = one
            pending += _inner(one, method)
    return list(found.values())


def _inner(transport: Any, method: str) -> list[Any]:
    """List the transports in a transport's attributes, also in lists and dicts."""
    held: list[Any] = list(getattr(transport, "__dict__", {}).values())
    held += [
        getattr(transport, name, None) for kind in type(transport).__mro__ for name in _slots(kind)
    ]
    held += [one for group in held if isinstance(group, list | tuple) for one in group]
    held += [one for group in held if isinstance(group, dict) for one in group.values()]
    return [one for one in held if one is not transport and _is_transport(one, method)]


def _is_transport(one: Any, method: str) -> bool:
    # Pools of httpcore have a method of that name.
    return callable(getattr(type(one), method, None)) and not type(one).__module__.startswith(
        "httpcore"
    )


def _slots(kind: type) -> tuple[str, ...]:
    slots = vars(kind).get("__slots__", ())
    return (slots,) if isinstance(slots, str) else tuple(slots)


def _library_of(client: type) -> Any:
    return next(
        sys.modules[root]
        for kind in client.__mro__
        if (root := kind.__module__.partition(".")[0]) in ("httpx", "httpx2")
    )
