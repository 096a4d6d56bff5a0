"""What happens to a call on which the adapter itself fails (docs/decisions.md#internal-errors).

Before anything was sent it goes to Chat as it came; after that it is an error. There is one guard
at each way in (the transport and the client), which calls the functions here. They use as little
of the package as possible, since any of it may be what failed.
"""

from __future__ import annotations

import json
import sys
from contextlib import suppress
from dataclasses import replace
from typing import Any

from adapter._exchange.record import CallState, Hold, Route
from adapter._routing.overrides import NO_OVERRIDES
from adapter._routing.router import HEADER
from adapter.errors import AdapterError
from adapter.translation.ledger import Loss
from adapter.translation.model_profiles import has_function_tools
from adapter.translation.policy import Policy
from adapter.translation.server_profiles import server_profile

from .call_context import EXTENSION, CallContext, SharedCallContext
from .log import log_call

_FOREIGN_PACKAGES = frozenset({"openai", "httpx", "httpx2"})


def is_adapter_error(error: BaseException) -> bool:
    """Return whether an exception comes from the adapter's code, or from what that code called.

    The SDK and the HTTP libraries don't count as called by it.
    """
    at, in_adapter = error.__traceback__, False
    while at is not None:
        package = at.tb_frame.f_globals.get("__name__", "").partition(".")[0]
        in_adapter = package == "adapter" or (in_adapter and package not in _FOREIGN_PACKAGES)
        at = at.tb_next
    return in_adapter


def raises_bugs(client: Any) -> bool:
    """Return whether a client's settings let the adapter's own bugs be raised."""
    reloader = client.__dict__.get("_adapter_live")
    return reloader is not None and reloader.router.settings.on_bug == "raise"


def context_after_bug(
    router: Any, bug: Exception, *, by_client: bool = False
) -> CallContext | None:
    """Return the context of a call that goes to Chat because of a bug; None if making one fails.

    Raise the bug if the settings say so.
    """
    if router.settings.on_bug == "raise":
        raise bug
    with suppress(Exception):
        return _chat_context(router, bug, by_client)
    return None


def _chat_context(router: Any, bug: Exception, by_client: bool) -> CallContext:
    losses, fixed_route = _losses(bug), router.fixed_route
    if fixed_route is not None and fixed_route.backend == "responses":
        # A hold that doesn't apply to Responses-only models.
        route = replace(fixed_route, hold=Hold("adapter-bug", losses[0], unconditional=False))
    else:
        route = Route("chat", "adapter-bug", Policy(), "chat", router.settings.hash)
    return CallContext(
        router,
        by_client,
        CallState(route, reason="adapter-bug", request_losses=losses),
        NO_OVERRIDES,
    )


_UNNAMED_LOSSES = (Loss("$", "held", "the adapter failed on this call"),)


def _losses(bug: Exception) -> tuple[Loss, ...]:
    with suppress(Exception):  # making the ledger entry may be what failed
        return (Loss("$", "held", f"the adapter failed on this call ({type(bug).__name__})"),)
    return _UNNAMED_LOSSES


def bug_message(bug: Exception, what: str) -> str:
    """Name what the adapter failed on and the exception's class; never the exception's text."""
    return f"$: the adapter failed on the {what} ({type(bug).__name__})"


def without_header(request: Any) -> Any:
    """Return a request without the adapter's header."""
    if HEADER not in request.headers:
        return request
    headers = request.headers.copy()
    del headers[HEADER]
    cls: Any = type(request)
    return cls(
        request.method,
        request.url,
        headers=headers,
        extensions=request.extensions,
        stream=request.stream,
    )


def _error_reply(request: Any, status: int, message: str) -> Any:
    """Make an error reply of the request's HTTP library, which the SDK doesn't retry."""
    library: Any = next(
        module
        for cls in type(request).__mro__
        if (module := sys.modules.get(cls.__module__.partition(".")[0])) is not None
        and hasattr(module, "Response")
    )
    error = {"message": message, "type": "server_error", "param": None, "code": "adapter_bug"}
    headers = {"content-type": "application/json", "x-should-retry": "false", HEADER: "responses"}
    return library.Response(
        status, headers=headers, content=json.dumps({"error": error}).encode(), request=request
    )


def recover_before_sending(
    request: Any, context: CallContext | None, router: Any, bug: Exception
) -> Any:
    """Return the reply of a call on which the adapter failed before it sent anything.

    None if the call is to be sent as it came; an error for a Responses-only model. Raise the bug if
    it is misuse, or if the settings say so.
    """
    if type(bug) is AdapterError or (router is not None and router.settings.on_bug == "raise"):
        raise bug
    if router is None or not request.url.path.endswith("/chat/completions"):
        return None
    route = None if context is None else context.state.route
    failed = context_after_bug(router, bug)
    if failed is None:
        return None
    if (
        route is None
        and router.fixed_route is not None
        and router.fixed_route.backend == "responses"
    ):
        route = router.fixed_route
    if context is None or type(context) is SharedCallContext:
        context = request.extensions[EXTENSION] = failed
    elif context.state.route is None:
        context.state.route = failed.state.route
    state = context.state
    if route is not None and route.backend == "responses":
        if route.on_bug == "raise":
            raise bug
        state.route = route
        with suppress(Exception):  # this may be what failed; then the call goes to Chat
            body = json.loads(request.content)
            why = route.policy.models.responses_only_reason(
                body.get("model"),
                tools=has_function_tools(body),
                effort=body.get("reasoning_effort"),
                server=lambda: server_profile(request.url.host, request.url.raw_path),
            )
            if why is not None:
                state.backend, state.reason, state.request_losses = (
                    "responses",
                    "adapter-bug",
                    _losses(bug),
                )
                return _error_reply(
                    request,
                    500,
                    f"{bug_message(bug, 'call')}, and the call can't be kept on Chat: {why}",
                )
    state.backend, state.reason, state.request_losses = "chat", "adapter-bug", _losses(bug)
    state.reply = state.translation = None
    with suppress(Exception):  # the call is worth more than its log line
        log_call(state)
    return None


def recover_after_sending(performer: Any, bug: Exception) -> Any:
    """Return the reply of a call on which the adapter failed after sending.

    Chat's own reply if it is there and unread, else an error.
    """
    upstream = performer.upstream
    if (
        performer.native
        and upstream is not None
        and (not upstream.is_stream_consumed or "_content" in upstream.__dict__)
    ):
        return upstream
    with suppress(Exception):
        performer.state.reply = None
    return _error_reply(performer.request, 502, bug_message(bug, "reply"))
