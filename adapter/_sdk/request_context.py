"""Attaching a call context to each request of an adapted client, for the transport below.

A call begins at the client's `request`, which every resource uses, and each request that the SDK
builds there belongs to it. If `request` was patched on the client itself before `install`, the
adapter has nothing above it: then the call begins with its first request, and the SDK's retries
belong to it.
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
from adapter._runtime.call_context import (
    EXTENSION,
    NO_CALL,
    CallContext,
    OffCallContext,
    context_of,
    start_call,
)
from adapter._runtime.internal_errors import context_after_bug

from . import decisions
from .compat import workload_token

_HEADER = HEADER.encode()
_RETRY_HEADER = b"x-stainless-retry-count"
_LastRequest = tuple[weakref.ref[Any], CallContext, int]
_LAST_REQUEST: ContextVar[_LastRequest | None] = ContextVar("adapter.last", default=None)
"""The last request of a call that didn't begin at `request`: client, context, earlier attempts."""


def attach_context(client: Any, request: Any, retry: int | None = None) -> None:
    """Attach a call context to a request, once; remove the adapter's header from other requests.

    `retry` is how often the SDK has sent the request before; by default its header tells. The
    header may be one of the client's `default_headers`.
    """
    if EXTENSION in request.extensions:
        return
    connect(client)  # once more: it may be a shallow copy, or have another HTTP client by now
    call = decisions.current_context(client)
    if type(call) is OffCallContext:  # every request passes
        request.extensions[EXTENSION] = call
        return
    if not is_handled(request):
        request.headers.pop(HEADER, None)
        request.extensions[EXTENSION] = NO_CALL  # a hook may add the header again
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
    if type(context) is not OffCallContext:
        context.token = context.token or workload_token(client)
        context.auth = auth_of(client)
        _restore_first_body(request, context)


def _context_in_call(client: Any, call: CallContext, retry: int) -> CallContext:
    """Return the context of a request in a call.

    A new one if a patched method makes the call again in another way: its first body is another.
    """
    if retry or call.first_body is None:
        return call
    state = CallState(call_site=call.state.call_site)
    again = CallContext(call.router, call.by_client, state, call.overrides, call.call_sites)
    again.started = call.started
    decisions.CURRENT_CALL.set((client, again))
    return again


def _context_without_call(client: Any, reloader: Any, request: Any, retry: int) -> CallContext:
    """Return the context of a request whose call didn't begin at `request`; the first begins it."""
    body, last = request.__dict__.get("_content"), _LAST_REQUEST.get()
    if (
        last is not None
        and last[2] + 1 == retry
        and last[0]() is client
        and last[1].first_body == body
    ):  # fmt: skip
        context = last[1]
    else:
        # A stored completion is where its id was made, whatever the settings say.
        stored = not request.url.path.endswith("/chat/completions")
        context = start_call(
            reloader, names_backend=stored or header_fields.has(request.headers, _HEADER)
        )
    if body and type(context) is not OffCallContext:
        # The last attempt's failure is final; earlier ones end in `report_failure`, or a retry.
        context.by_client = retry < client.max_retries
        _LAST_REQUEST.set((weakref.ref(client), context, retry))
    return context


def report_failure(client: Any, response: Any, error: Exception) -> None:
    """Report a call that didn't begin at `request`, and ends with an error status."""
    context = context_of(response.request)
    if context is not None and context.by_client and decisions.current_context(client) is None:
        decisions.call_failed(context, error)


def attach_failed(client: Any, request: Any, bug: Exception) -> None:
    """Let a request go out as it came, after the adapter failed to attach a context.

    Raise the bug if anything was sent for the call before, or if the settings say so.
    """
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
    elif call is None or type(call) is OffCallContext:
        request.extensions[EXTENSION] = failed
    else:  # which the client holds
        call.state, request.extensions[EXTENSION] = failed.state, call


def _restore_first_body(request: Any, context: Any) -> None:
    """Let a retried call send its first body, even if the caller has changed the arguments since.

    See docs/edge-cases.md#changes-between-retries. A call routed to Chat sends what the SDK sends.
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
