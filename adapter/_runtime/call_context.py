"""What travels with a request from the client to the transport: its journal, and the settings it started with.

It lies in the request's `extensions`: those are never sent, survive redirects, and are where the reply and the SDK's
exceptions lead back to (`response.request.extensions`).
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from typing import Any

from adapter._exchange.effects import Decide, FlagQuery, Need
from adapter._exchange.endpoints import is_relayed
from adapter._exchange.record import CallState, Hold, Route
from adapter._http import header_fields
from adapter._http.memory_scope import Token
from adapter._http.signed_requests import UNKNOWN_AUTH, find_signature
from adapter._routing.call import Call
from adapter._routing.call_site import call_site, call_sites
from adapter._routing.overrides import FAILED_OVERRIDES, NO_OVERRIDES, Overrides, current_overrides
from adapter._routing.reload import SettingsReloader
from adapter._routing.router import HEADER, Router
from adapter._settings.settings import Settings
from adapter.translation.ledger import Loss

from . import missing_endpoints

EXTENSION = "adapter.ticket"

NO_CALL = "bare"
"""Stands in the place of the ticket of a request that no call is carried with: it only loses our header."""

EXTERNAL_ERROR = "_adapter_passed_on"
"""The attribute that exceptions get which come from a transport, or the caller's own stream, and aren't the adapter's."""

_HEADER = HEADER.encode()

_ROUTING_HEADERS = frozenset({_HEADER, b"authorization"})

_RELAYED_HOLD = Hold(
    "unsupported",
    Loss("query", "held", "the path of the call stands in the query, where it can't be replaced"),
)
_MISSING_HOLD = Hold(
    "missing", Loss("$", "held", "the server had no Responses API a while ago"), unconditional=False
)  # fmt: skip


@dataclass(slots=True)
class CallContext:
    """One call on its way: the settings, the `use()` and the caller of the moment when it began.

    `by_client`: one of our clients makes the call and sees its end; `carried`: a door is carrying it right now, and a second one
    further down leaves the request alone.
    """

    router: Router
    by_client: bool = False
    state: CallState = field(default_factory=CallState)
    overrides: Overrides = field(default_factory=current_overrides)
    call_sites: tuple[str, ...] = ()
    in_progress: bool = False
    started: float = field(default_factory=time.perf_counter)
    observed: bool = False  # to the observers
    token: Token | None = None  # fetched by the client for this call, in the place of an API key
    auth: Any = UNKNOWN_AUTH  # of the HTTP client
    restarted: bool = False  # it is the second one of a call on which the adapter failed
    requests_sent: int = 0  # how many requests have been sent for it
    first_body: bytes | None = None  # of the first request: what is sent is fixed at the call

    @property
    def settings(self) -> Settings:
        """The settings that the call began with."""
        return self.router.settings

    def passes_untouched(self, request: Any) -> bool:
        """Choose for a chat call of which the settings alone say where it goes; tell whether that is where it came for, unobserved."""
        router, state = self.router, self.state
        only = router.fixed_route
        if only is None or request.method != "POST" or self.overrides is not NO_OVERRIDES:
            return False
        if only.backend != "chat":
            if state.route is None:
                state.route = self._route_without_header(only, request)
            return False
        if router.observers or (state.route is not None and state.route is not only):
            return False
        if header_fields.has(request.headers, _HEADER):
            return False
        state.route, state.reason = only, only.reason
        return True

    def _route_without_header(self, route: Route, request: Any) -> Route | None:
        """Return the one choice that the settings leave, where nothing in the request says anything else; `decide` is for the others."""
        found = header_fields.first_values(request.headers, _ROUTING_HEADERS)
        return (
            None
            if _HEADER in found
            else _with_hold(route, found.get(b"authorization", ""), request, self.auth)
        )

    def choose_route(self, effect: Decide, request: Any) -> Route | Need | FlagQuery:
        """Choose for the call, or say what is missing for a choice."""
        headers = request.headers
        found = header_fields.first_values(headers, _ROUTING_HEADERS)
        # The last one is the call's own: the client's may be spelled otherwise, and then both are there.
        ours = header_fields.values(headers, _HEADER)[-1] if _HEADER in found else None
        call = Call(
            ours, headers, self.overrides, request.url.raw_path, request.url.host,
            self.call_sites, effect.body, effect.flag,
        )  # fmt: skip
        route = self.router.choose(call)
        if not isinstance(route, Route) or route.backend == "chat":
            return route
        return _with_hold(route, found.get(b"authorization", ""), request, self.auth)


def _with_hold(route: Route, authorization: str, request: Any, auth: Any) -> Route:
    """Hold a call on Chat Completions that can't be moved, whatever it holds."""
    url = request.url
    if url.query and is_relayed(url.raw_path):
        return replace(route, hold=_RELAYED_HOLD)
    loss = find_signature(request.headers, authorization, auth)
    if loss is not None:
        return replace(route, hold=Hold("unsupported", loss))
    if "missing" in route.fallback:
        if missing_endpoints.is_missing(url):
            return replace(route, hold=_MISSING_HOLD)
        unserved = missing_endpoints.missing_models_of(url)
        if unserved is not None:
            return replace(route, unserved=unserved)
    return route


class SharedCallContext(CallContext):
    """One ticket for all calls of a client that go to Chat by the settings alone, while nobody observes: "off" costs next to nothing."""

    __slots__ = ()


def start_call(
    reloader: SettingsReloader, *, by_client: bool = False, names_backend: bool = True
) -> CallContext:
    """Begin a call with the settings that are in force now; `named`: one of its headers may name a backend."""
    router, overrides = reloader.current(), current_overrides()
    if overrides is FAILED_OVERRIDES:
        raise RuntimeError("the adapter failed in use()")
    if (
        router.always_chat
        and not names_backend
        and not router.observers
        and overrides is NO_OVERRIDES
    ):
        if router.shared_context is None:
            assert router.fixed_route is not None
            router.shared_context = SharedCallContext(
                router, by_client, CallState(router.fixed_route, reason=router.fixed_route.reason)
            )
        shared: CallContext = router.shared_context
        return shared
    if router.needs_call_site:
        sites = call_sites()
        nearest = sites[0] if sites else None
    else:
        sites, nearest = (), call_site()
    return CallContext(router, by_client, CallState(call_site=nearest), overrides, sites)


def context_of(request: Any) -> CallContext | None:
    """Return the ticket of a request, if it has one."""
    found = request.extensions.get(EXTENSION)
    return found if isinstance(found, CallContext) else None
