"""The call context: what travels with a request from the client to the transport.

It is kept in the request's `extensions`: those are never sent, survive redirects, and can be
reached from the reply and the SDK's exceptions (`response.request.extensions`).
"""

from __future__ import annotations

import time
from collections.abc import Generator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from adapter._exchange.effects import Effect
from adapter._exchange.endpoints import is_relayed
from adapter._exchange.record import CallState, Hold, Route
from adapter._exchange.request_body import RequestBody
from adapter._routing.call import Call
from adapter._routing.call_site import call_site, call_sites
from adapter._routing.overrides import FAILED_OVERRIDES, NO_OVERRIDES, Overrides, current_overrides
from adapter._routing.reload import SettingsReloader
from adapter._routing.router import HEADER, Router
from adapter.translation.ledger import Loss

from . import missing_endpoints
from .protocols import IncomingRequest, Token

if TYPE_CHECKING:
    from adapter._settings.settings import Settings

EXTENSION = "adapter.context"
"""The key of `extensions` under which a request's context is kept."""

NO_CALL = "no-call"
"""Marks a request that belongs to no call: it only loses the adapter's header."""

EXTERNAL_ERROR = "_adapter_external"
"""The attribute that marks exceptions of a transport or of the caller's own stream."""

UNKNOWN_AUTH: Any = object()
"""Sentinel for the HTTP client's `auth`, where it must be looked for."""

_HEADER = HEADER.encode()

_RELAYED_HOLD = Hold(
    "unsupported",
    Loss("query", "held", "the path of the call stands in the query, where it can't be replaced"),
)
_MISSING_HOLD = Hold(
    "missing", Loss("$", "held", "the server had no Responses API a while ago"), unconditional=False
)  # fmt: skip


@dataclass(slots=True)
class CallContext:
    """One call under way, with the settings, `use()` and call sites of the moment when it began.

    `by_client`: an adapted client makes the call and sees its end. `in_progress`: a transport is
    handling it, and a second one below leaves the request alone.
    """

    router: Router
    by_client: bool = False
    state: CallState = field(default_factory=CallState)
    overrides: Overrides = field(default_factory=current_overrides)
    call_sites: tuple[str, ...] = ()
    in_progress: bool = False
    started: float = field(default_factory=time.perf_counter)
    observed: bool = False  # whether the observers were called
    token: Token | None = None  # that the client fetched for this call
    auth: Any = UNKNOWN_AUTH  # the HTTP client's
    restarted: bool = False  # after the adapter failed on the call
    requests_sent: int = 0
    first_body: bytes | None = None  # what is sent is fixed at the call

    @property
    def settings(self) -> Settings:
        """The settings that the call began with."""
        return self.router.settings

    def passes_untouched(self, request: IncomingRequest) -> bool:
        """Return whether a chat call can be forwarded as it is.

        It can if the settings alone route it to Chat and there are no observers. A route that the
        settings alone give is stored in the state either way.
        """
        router, state = self.router, self.state
        only = router.fixed_route
        if only is None or request.method != "POST" or self.overrides is not NO_OVERRIDES:
            return False
        if only.backend != "chat":
            if state.route is None and request.header(_HEADER) is None:
                state.route = _with_hold(only, request, self.auth)
            return False
        if router.observers or (state.route is not None and state.route is not only):
            return False
        if request.header(_HEADER) is not None:
            return False
        state.route, state.reason = only, only.reason
        return True

    def choose_gen(
        self, request: IncomingRequest, body: RequestBody
    ) -> Generator[Effect, Any, Route]:
        """Return the call's route."""
        call = Call(
            request.header(_HEADER), request.headers, self.overrides, request.raw_path,
            request.host, self.call_sites, body,
        )  # fmt: skip
        route = yield from self.router.choose_gen(call)
        return route if route.backend == "chat" else _with_hold(route, request, self.auth)


def _with_hold(route: Route, request: IncomingRequest, auth: Any) -> Route:
    """Add a hold to the route of a call that can't use Responses, whatever its body is.

    See docs/decisions.md#left-alone and #fallback.
    """
    raw_path = request.raw_path
    if b"?" in raw_path and is_relayed(raw_path):
        return route._replace(hold=_RELAYED_HOLD)
    loss = request.signature(auth)
    if loss is not None:
        return route._replace(hold=Hold("unsupported", loss))
    if "missing" in route.settings.fallback and missing_endpoints.any_known():
        base_url = request.base_url
        if missing_endpoints.is_missing(base_url):
            return route._replace(hold=_MISSING_HOLD)
        return route._replace(unserved=missing_endpoints.missing_models_of(base_url))
    return route


class OffCallContext(CallContext):
    """Shared by all calls of a client that is off and has no observers.

    So nothing is allocated for each call (docs/performance.md#off).
    """

    __slots__ = ()


def start_call(
    reloader: SettingsReloader, *, by_client: bool = False, names_backend: bool = True
) -> CallContext:
    """Begin a call with the settings that are in force at present.

    `names_backend`: whether a header of the call may name one. Raise RuntimeError if the adapter
    failed in `use()`.
    """
    router, overrides = reloader.current(), current_overrides()
    if overrides is FAILED_OVERRIDES:
        raise RuntimeError("the adapter failed in use()")
    if router.is_off and not names_backend and not router.observers and overrides is NO_OVERRIDES:
        if router.off_context is None:
            assert router.fixed_route is not None
            router.off_context = OffCallContext(
                router, by_client, CallState(router.fixed_route, reason=router.fixed_route.reason)
            )
        context: CallContext = router.off_context
        return context
    if router.needs_call_site:
        sites = call_sites()
        nearest = sites[0] if sites else None
    else:
        sites, nearest = (), call_site()
    return CallContext(router, by_client, CallState(call_site=nearest), overrides, sites)


def context_of(request: Any) -> CallContext | None:
    """Return the context of a request; None if it has none."""
    found = request.extensions.get(EXTENSION)
    return found if isinstance(found, CallContext) else None
