"""What travels with a request from the client to the transport: its journal, and the settings it started with.

It lies in the request's `extensions`: those are never sent, survive redirects, and are where the reply and the SDK's
exceptions lead back to (`response.request.extensions`).
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from typing import Any

from adapter._exchange.effects import Decide, Flag, Need
from adapter._exchange.endpoints import is_relayed
from adapter._exchange.record import Choice, Journal, Veto
from adapter._http import header_fields
from adapter._http.memory_scope import Token
from adapter._http.signed_requests import UNKNOWN, signed
from adapter._routing.call import Call
from adapter._routing.call_site import call_site, call_sites
from adapter._routing.overrides import FAILED, NONE, Overrides, current
from adapter._routing.reload import Live
from adapter._routing.router import HEADER, Router
from adapter._settings.settings import Settings
from adapter.translation.ledger import Loss

from . import missing_endpoints

KEY = "adapter.ticket"

BARE = "bare"
"""Stands in the place of the ticket of a request that no call is carried with: it only loses our header."""

PASSED_ON = "_adapter_passed_on"
"""The attribute that exceptions get which come from a transport, or the caller's own stream, and aren't the adapter's."""

_OURS = HEADER.encode()

_LOOKED_AT = frozenset({_OURS, b"authorization"})

_RELAYED_VETO = Veto(
    "unsupported", Loss("query", "held", "the path of the call stands in the query, where it can't be replaced")
)
_MISSING_VETO = Veto(
    "missing", Loss("$", "held", "the server had no Responses API a while ago"), binding=False
)  # fmt: skip


@dataclass(slots=True)
class Ticket:
    """One call on its way: the settings, the `use()` and the caller of the moment when it began.

    `by_client`: one of our clients makes the call and sees its end; `carried`: a door is carrying it right now, and a second one
    further down leaves the request alone.
    """

    router: Router
    by_client: bool = False
    journal: Journal = field(default_factory=Journal)
    overrides: Overrides = field(default_factory=current)
    call_sites: tuple[str, ...] = ()
    carried: bool = False
    started: float = field(default_factory=time.perf_counter)
    told: bool = False  # to the observers
    token: Token | None = None  # fetched by the client for this call, in the place of an API key
    auth: Any = UNKNOWN  # of the HTTP client
    retaken: bool = False  # it is the second one of a call on which the adapter failed
    sent: int = 0  # how many requests have been sent for it
    body: bytes | None = None  # of the first request: what is sent is fixed at the call

    @property
    def settings(self) -> Settings:
        """The settings that the call began with."""
        return self.router.settings

    def stays(self, request: Any) -> bool:
        """Choose for a chat call of which the settings alone say where it goes; tell whether that is where it came for, unobserved."""
        router, journal = self.router, self.journal
        only = router.surely
        if only is None or request.method != "POST" or self.overrides is not NONE:
            return False
        if only.backend != "chat":
            if journal.choice is None:
                journal.choice = self._settled(only, request)
            return False
        if router.observers or (journal.choice is not None and journal.choice is not only):
            return False
        if header_fields.has(request.headers, _OURS):
            return False
        journal.choice, journal.reason = only, only.reason
        return True

    def _settled(self, only: Choice, request: Any) -> Choice | None:
        """Return the one choice that the settings leave, where nothing in the request says anything else; `decide` is for the others."""
        found = header_fields.some(request.headers, _LOOKED_AT)
        return None if _OURS in found else _with_veto(only, found.get(b"authorization", ""), request, self.auth)

    def decide(self, asked: Decide, request: Any) -> Choice | Need | Flag:
        """Choose for the call, or say what is missing for a choice."""
        headers = request.headers
        found = header_fields.some(headers, _LOOKED_AT)
        # The last one is the call's own: the client's may be spelled otherwise, and then both are there.
        ours = header_fields.values(headers, _OURS)[-1] if _OURS in found else None
        call = Call(
            ours, headers, self.overrides, request.url.raw_path, request.url.host,
            self.call_sites, asked.body, asked.flag,
        )  # fmt: skip
        choice = self.router.choose(call)
        if not isinstance(choice, Choice) or choice.backend == "chat":
            return choice
        return _with_veto(choice, found.get(b"authorization", ""), request, self.auth)


def _with_veto(choice: Choice, authorization: str, request: Any, auth: Any) -> Choice:
    """Hold a call on Chat Completions that can't be moved, whatever it holds."""
    url = request.url
    if url.query and is_relayed(url.raw_path):
        return replace(choice, veto=_RELAYED_VETO)
    loss = signed(request.headers, authorization, auth)
    if loss is not None:
        return replace(choice, veto=Veto("unsupported", loss))
    if "missing" in choice.fallback:
        if missing_endpoints.is_missing(url):
            return replace(choice, veto=_MISSING_VETO)
        unserved = missing_endpoints.models_of(url)
        if unserved is not None:
            return replace(choice, unserved=unserved)
    return choice


class Quiet(Ticket):
    """One ticket for all calls of a client that go to Chat by the settings alone, while nobody observes: "off" costs next to nothing."""

    __slots__ = ()


def begin(live: Live, *, by_client: bool = False, named: bool = True) -> Ticket:
    """Begin a call with the settings that are in force now; `named`: one of its headers may name a backend."""
    router, overrides = live.now(), current()
    if overrides is FAILED:
        raise RuntimeError("the adapter failed in use()")
    if router.quiet and not named and not router.observers and overrides is NONE:
        if router.shared is None:
            assert router.surely is not None
            router.shared = Quiet(router, by_client, Journal(router.surely, reason=router.surely.reason))
        shared: Ticket = router.shared
        return shared
    if router.needs_call_site:
        sites = call_sites()
        nearest = sites[0] if sites else None
    else:
        sites, nearest = (), call_site()
    return Ticket(router, by_client, Journal(call_site=nearest), overrides, sites)


def ticket_of(request: Any) -> Ticket | None:
    """Return the ticket of a request, if it has one."""
    found = request.extensions.get(KEY)
    return found if isinstance(found, Ticket) else None
