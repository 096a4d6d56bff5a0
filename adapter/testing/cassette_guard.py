"""Hold every request of the SDK's clients to the cassette that is open: by whatever transport it goes, and none past it.

vcrpy knows the transports of httpx and httpx2, and a few more. An SDK client may have any other: aiohttp's
(`openai.DefaultAioHttpClient`), one that a team wrote. The innermost transport of the client that sends is what bytes leave by, so
vcrpy's own stub is put there, for the time of the cassette. What is answered nevertheless without the cassette is written down.

An app that a test asks in its own process (`ASGITransport`, `WSGITransport`) is what is tested, and is left alone.
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
"""A header that each request of the SDK has."""

_IN_PROCESS = (("WSGITransport", "handle_request"), ("ASGITransport", "handle_async_request"))
_SENDING = (("Client", "handle_request"), ("AsyncClient", "handle_async_request"))


class RefusedError(AssertionError):
    """Say why a request isn't sent: it would go past the cassette."""


@dataclass(slots=True)
class _ClientRequest:
    """One request of a client of the SDK, from its HTTP client to its reply."""

    seen: bool = False
    recorded: bool = False


_CURRENT_REQUEST: ContextVar[_ClientRequest | None] = ContextVar(
    "adapter.testing.passage", default=None
)


class CassetteGuard:
    """What passes a cassette, and what passes it by; `asked` counts the requests that it was asked for."""

    def __init__(self, cassette: Any, *, replay: bool) -> None:
        self._cassette = cassette
        self._replay = replay
        self._stack = ExitStack()
        self._unclaimed = 0
        self._problems: list[str] = []
        self.asked = 0

    # What the cassette is asked and told

    def watch_cassette(self) -> None:
        """Note what the cassette is asked for, and what it is told to keep."""
        asked, kept = self._cassette.can_play_response_for, self._cassette.append

        def can_play_response_for(request: Any) -> Any:
            self.asked += 1
            client_request = _CURRENT_REQUEST.get()
            if client_request is None:
                self._unclaimed += 1
            else:
                client_request.seen = True
            return asked(request)

        def append(request: Any, response: Any) -> Any:
            client_request = _CURRENT_REQUEST.get()
            if client_request is not None:
                client_request.recorded = True
            return kept(request, response)

        self._stack.enter_context(
            replaced(self._cassette, "can_play_response_for", can_play_response_for)
        )
        self._stack.enter_context(replaced(self._cassette, "append", append))

    # What clients send

    def watch_clients(self, library: Any) -> None:
        """Follow what the clients of an HTTP library send, and leave apps in this process alone."""
        for name, method in _SENDING:
            client = getattr(library, name)
            sent = _observed(self, client._send_single_request, method)
            self._stack.enter_context(replaced(client, "_send_single_request", sent))
        for name, method in _IN_PROCESS:
            transport = getattr(library, name)
            stub = getattr(transport, method)
            if _is_stub(stub):
                left = _only_for_sdk(stub, stub.__wrapped__)
                self._stack.enter_context(replaced(transport, method, left))

    def start_request(
        self, client: Any, request: Any, method: str
    ) -> tuple[_ClientRequest, str] | None:
        """Begin the passage of a request, with the name of what it leaves by; None for one that isn't the SDK's or the adapter's."""
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
        """Write a request down that was answered, and not by way of the cassette."""
        if client_request.seen:
            return
        if self._unclaimed:  # it went on in a thread of its own
            self._unclaimed -= 1
            return
        what = f"{request.method} {request.url.path}" + (f", by {transports}" if transports else "")
        self._problems.append(f"{what}, was answered past the cassette: vcrpy didn't see it")

    def _patch_transport(self, kind: type, method: str, library: Any) -> None:
        """Put vcrpy's stub on a class of transports; where that can't be, nothing is sent by it."""
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
        """Say what went past the cassette, or was about to."""
        return list(dict.fromkeys(self._problems))

    def why_empty(self) -> str:
        """Say why nothing was recorded, where nothing went past."""
        if self.asked:
            return f"of {self.asked} request{'s' * (self.asked > 1)} none was answered"
        return "no request was made by a client of httpx or httpx2, which the SDK's are"

    # What would leave

    def block_network(self) -> None:
        """Let no request of the SDK's out, in a replay."""
        if self._replay:
            ways = NetworkExits(self._refuse)
            ways.watch()
            self._stack.callback(ways.close)

    def _refuse(self, headers: Any) -> None:
        __tracebackhide__ = True  # its arguments are headers
        if any(name == SDK_HEADER for name, _ in header_pairs(headers)):
            why = "a request was on its way to the network, past the cassette"
            self._problems.append(why)
            raise RefusedError(why)

    def close(self) -> None:
        """Let go of everything."""
        self._stack.close()


class _UnlessRecorded:
    """A cassette that keeps nothing of a request that a transport further in has kept: that one saw what went out."""

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
    """Hold the SDK's requests to a cassette of vcrpy that is open; see `Passing.complaints` for what went past it."""
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
    def sent(client: Any, request: Any) -> Any:
        begun = guard.start_request(client, request, method)
        if begun is None:
            return send(client, request)
        token = _CURRENT_REQUEST.set(begun[0])
        try:
            response = send(client, request)
        finally:
            _CURRENT_REQUEST.reset(token)
        guard.finish_request(begun[0], request, begun[1])
        return response

    async def sent_async(client: Any, request: Any) -> Any:
        begun = guard.start_request(client, request, method)
        if begun is None:
            return await send(client, request)
        token = _CURRENT_REQUEST.set(begun[0])
        try:
            response = await send(client, request)
        finally:
            _CURRENT_REQUEST.reset(token)
        guard.finish_request(begun[0], request, begun[1])
        return response

    return wraps(send)(sent if method == "handle_request" else sent_async)


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
    return type(transport).__module__.startswith("adapter._runtime")


def _is_stub(method: Any) -> bool:
    """Tell whether a method is vcrpy's stub, also below what was put around it since."""
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
    """List a transport and all those that it holds, however deep."""
    found: dict[int, Any] = {}
    pending = [transport]
    while pending:
        one = pending.pop()
        if id(one) not in found:
            found[id(one)] = one
            pending += _inner(one, method)
    return list(found.values())


def _inner(transport: Any, method: str) -> list[Any]:
    """List the transports that a transport holds, in attributes or in lists and the like that are one."""
    held: list[Any] = list(getattr(transport, "__dict__", {}).values())
    held += [
        getattr(transport, name, None) for kind in type(transport).__mro__ for name in _slots(kind)
    ]
    held += [one for group in held if isinstance(group, list | tuple) for one in group]
    held += [one for group in held if isinstance(group, dict) for one in group.values()]
    return [one for one in held if one is not transport and _is_transport(one, method)]


def _is_transport(one: Any, method: str) -> bool:
    # a pool of httpcore has a method of that name
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
