"""The ticket that each request of an adapted client is given, by which the door below knows whose it is and how it goes on.

A call begins at the client's `request`, which every resource comes to, and each request that the SDK builds for it is of the one call. Where
somebody has put a `request` of his own on the client itself before it was installed, nothing of ours stands above it: then the call
begins with its first request, and those that the SDK sends again belong to it.
"""

from __future__ import annotations

import weakref
from contextvars import ContextVar
from typing import Any

from adapter._exchange.record import CallState
from adapter._http import header_fields
from adapter._http.client_transports import connect
from adapter._http.libraries import library_of
from adapter._http.signed_requests import auth_of
from adapter._http.transport import is_handled
from adapter._routing.router import HEADER
from adapter._runtime import decisions
from adapter._runtime.call_context import (
    EXTENSION,
    NO_CALL,
    CallContext,
    SharedCallContext,
    context_of,
    start_call,
)
from adapter._runtime.internal_errors import context_after_bug

from .tokens import workload_token

_HEADER = HEADER.encode()
_RETRY_HEADER = b"x-stainless-retry-count"
_LastRequest = tuple[weakref.ref[Any], CallContext, int]
_LAST_REQUEST: ContextVar[_LastRequest | None] = ContextVar("adapter.last", default=None)
"""The last request of a call that nothing of ours stands above: its client, the call's ticket, and how often it was sent before."""


def attach_context(client: Any, request: Any, retry: int | None = None) -> None:
    """Give a request its ticket, once; take our header, which may stand in `default_headers`, off any other.

    `retry` is how often the SDK has sent it before, where that is known; else its header says it.
    """
    if EXTENSION in request.extensions:
        return
    connect(
        client
    )  # a shallow copy, or another HTTP client put in by hand, hasn't been seen before
    call = decisions.current_context(client)
    if type(call) is SharedCallContext:  # all passes, whatever it is
        request.extensions[EXTENSION] = call
        return
    if not is_handled(request):
        request.headers.pop(HEADER, None)
        request.extensions[EXTENSION] = NO_CALL  # a hook of the HTTP client may put it in again
        return
    reloader = client.__dict__.get("_adapter_live")
    if retry is None:
        given = header_fields.value(request.headers, _RETRY_HEADER)
        retry = int(given) if given.isdecimal() else 0
    if call is not None:
        context = _context_in_call(client, call, retry)
    elif reloader is not None:
        context = _context_without_call(client, reloader, request, retry)
    else:  # uninstalled meanwhile
        return
    request.extensions[EXTENSION] = context
    if type(context) is not SharedCallContext:
        context.token = context.token or workload_token(client)
        context.auth = auth_of(client)
        _restore_first_body(request, context)


def _context_in_call(client: Any, call: CallContext, retry: int) -> CallContext:
    """Return the ticket of a request in a call: another one where a method of somebody's own makes the call again, in another way."""
    if retry or call.first_body is None:
        return call
    state = CallState(call_site=call.state.call_site)
    again = CallContext(call.router, call.by_client, state, call.overrides, call.call_sites)
    again.started = call.started
    decisions.CURRENT_CALL.set((client, again))
    return again


def _context_without_call(client: Any, reloader: Any, request: Any, retry: int) -> CallContext:
    """Return the ticket of a request that nothing of ours stands above, and begin its call with the first."""
    body, last = request.__dict__.get("_content"), _LAST_REQUEST.get()
    if (
        last is not None
        and last[2] + 1 == retry
        and last[0]() is client
        and last[1].first_body == body
    ):  # fmt: skip
        context = last[1]
    else:
        # What is stored belongs where its id was made, whatever the settings say.
        stored = not request.url.path.endswith("/chat/completions")
        context = start_call(
            reloader, names_backend=stored or header_fields.has(request.headers, _HEADER)
        )
    if body and type(context) is not SharedCallContext:
        # Whether it fails for good is told by `concluded`, or known here.
        context.by_client = retry < client.max_retries
        _LAST_REQUEST.set((weakref.ref(client), context, retry))
    return context


def report_failure(client: Any, response: Any, error: Exception) -> None:
    """Tell of a call that nothing of ours stands above, and that ends with a status."""
    context = context_of(response.request)
    if context is not None and context.by_client and decisions.current_context(client) is None:
        decisions.call_failed(context, error)


def attach_failed(client: Any, request: Any, bug: Exception) -> None:
    """Let a request go as it came, to which the adapter failed to give its ticket. Raises the bug where anything has been sent before."""
    reloader, under_way = client.__dict__.get("_adapter_live"), decisions.CURRENT_CALL.get()
    call = under_way[1] if under_way is not None and under_way[0] is client else None
    if call is not None and call.requests_sent:
        raise bug
    if call is None and reloader is None:
        return
    failed = context_after_bug(
        reloader.router if call is None else call.router, bug, by_client=call is not None
    )
    request.headers.pop(HEADER, None)
    if failed is None:
        request.extensions[EXTENSION] = NO_CALL
    elif call is None or type(call) is SharedCallContext:
        request.extensions[EXTENSION] = failed
    else:  # the client's own record of the call
        call.state, request.extensions[EXTENSION] = failed.state, call


def _restore_first_body(request: Any, context: Any) -> None:
    """Let a call that is tried again send what it sent at first, though the caller has changed what it gave since.

    A call that goes to Chat Completions sends what the SDK sends.
    """
    body = request.__dict__.get("_content")
    route = context.state.route
    if context.first_body is None or route is None:
        context.first_body = body
    elif body is not None and body != context.first_body and route.backend == "responses":
        library = library_of(request)
        request._content, request.stream = (
            context.first_body,
            library.ByteStream(context.first_body),
        )
        request.headers["Content-Length"] = str(len(context.first_body))
