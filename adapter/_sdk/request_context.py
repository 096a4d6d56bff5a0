"""The ticket that each request of an adapted client is given, by which the door below knows whose it is and how it goes on.

A call begins at the client's `request`, which every resource comes to, and each request that the SDK builds for it is of the one call. Where
somebody has put a `request` of his own on the client itself before it was installed, nothing of ours stands above it: then the call
begins with its first request, and those that the SDK sends again belong to it.
"""

from __future__ import annotations

import weakref
from contextvars import ContextVar
from typing import Any

from adapter._exchange.record import Journal
from adapter._http import header_fields
from adapter._http.client_transports import connect
from adapter._http.libraries import family_of
from adapter._http.signed_requests import auth_of
from adapter._http.transport import is_ours
from adapter._routing.router import HEADER
from adapter._runtime import decisions
from adapter._runtime.call_context import BARE, KEY, Quiet, Ticket, begin, ticket_of
from adapter._runtime.internal_errors import failing

from .tokens import exchanged

_HEADER = HEADER.encode()
_RETRY = b"x-stainless-retry-count"
_Last = tuple[weakref.ref[Any], Ticket, int]
_LAST: ContextVar[_Last | None] = ContextVar("adapter.last", default=None)
"""The last request of a call that nothing of ours stands above: its client, the call's ticket, and how often it was sent before."""


def mark(client: Any, request: Any, retry: int | None = None) -> None:
    """Give a request its ticket, once; take our header, which may stand in `default_headers`, off any other.

    `retry` is how often the SDK has sent it before, where that is known; else its header says it.
    """
    if KEY in request.extensions:
        return
    connect(client)  # a shallow copy, or another HTTP client put in by hand, hasn't been seen before
    call = decisions.call_of(client)
    if type(call) is Quiet:  # all passes, whatever it is
        request.extensions[KEY] = call
        return
    if not is_ours(request):
        request.headers.pop(HEADER, None)
        request.extensions[KEY] = BARE  # a hook of the HTTP client may put it in again
        return
    live = client.__dict__.get("_adapter_live")
    if retry is None:
        given = header_fields.value(request.headers, _RETRY)
        retry = int(given) if given.isdecimal() else 0
    if call is not None:
        ticket = _of(client, call, retry)
    elif live is not None:
        ticket = _without_call(client, live, request, retry)
    else:  # uninstalled meanwhile
        return
    request.extensions[KEY] = ticket
    if type(ticket) is not Quiet:
        ticket.token = ticket.token or exchanged(client)
        ticket.auth = auth_of(client)
        _as_at_first(request, ticket)


def _of(client: Any, call: Ticket, retry: int) -> Ticket:
    """Return the ticket of a request in a call: another one where a method of somebody's own makes the call again, in another way."""
    if retry or call.body is None:
        return call
    journal = Journal(call_site=call.journal.call_site)
    again = Ticket(call.router, call.by_client, journal, call.overrides, call.call_sites)
    again.started = call.started
    decisions.CALL.set((client, again))
    return again


def _without_call(client: Any, live: Any, request: Any, retry: int) -> Ticket:
    """Return the ticket of a request that nothing of ours stands above, and begin its call with the first."""
    body, last = request.__dict__.get("_content"), _LAST.get()
    if (
        last is not None
        and last[2] + 1 == retry
        and last[0]() is client
        and last[1].body == body
    ):  # fmt: skip
        ticket = last[1]
    else:
        # What is stored belongs where its id was made, whatever the settings say.
        stored = not request.url.path.endswith("/chat/completions")
        ticket = begin(live, named=stored or header_fields.has(request.headers, _HEADER))
    if body and type(ticket) is not Quiet:
        # Whether it fails for good is told by `concluded`, or known here.
        ticket.by_client = retry < client.max_retries
        _LAST.set((weakref.ref(client), ticket, retry))
    return ticket


def concluded(client: Any, response: Any, error: Exception) -> None:
    """Tell of a call that nothing of ours stands above, and that ends with a status."""
    ticket = ticket_of(response.request)
    if ticket is not None and ticket.by_client and decisions.call_of(client) is None:
        decisions.failed(ticket, error)


def unmarked(client: Any, request: Any, bug: Exception) -> None:
    """Let a request go as it came, to which the adapter failed to give its ticket. Raises the bug where anything has been sent before."""
    live, under_way = client.__dict__.get("_adapter_live"), decisions.CALL.get()
    call = under_way[1] if under_way is not None and under_way[0] is client else None
    if call is not None and call.sent:
        raise bug
    if call is None and live is None:
        return
    failed = failing(live.router if call is None else call.router, bug, by_client=call is not None)
    request.headers.pop(HEADER, None)
    if failed is None:
        request.extensions[KEY] = BARE
    elif call is None or type(call) is Quiet:
        request.extensions[KEY] = failed
    else:  # the client's own record of the call
        call.journal, request.extensions[KEY] = failed.journal, call


def _as_at_first(request: Any, ticket: Any) -> None:
    """Let a call that is tried again send what it sent at first, though the caller has changed what it gave since.

    A call that goes to Chat Completions sends what the SDK sends.
    """
    body = request.__dict__.get("_content")
    choice = ticket.journal.choice
    if ticket.body is None or choice is None:
        ticket.body = body
    elif body is not None and body != ticket.body and choice.backend == "responses":
        family = family_of(request)
        request._content, request.stream = ticket.body, family.ByteStream(ticket.body)
        request.headers["Content-Length"] = str(len(ticket.body))
