"""Recovering a request on which the adapter itself failed (docs/decisions.md#internal-errors).

These functions use as little of the package as possible, since any of it may be what failed.
"""

from __future__ import annotations

import json
import sys
from contextlib import suppress
from typing import Any

from adapter._routing.router import HEADER
from adapter._runtime.call_context import EXTENSION, CallContext, OffCallContext
from adapter._runtime.internal_errors import bug_message, context_after_bug, losses_of
from adapter._runtime.log import log_call
from adapter.errors import AdapterError
from adapter.translation.model_profiles import has_function_tools
from adapter.translation.server_profiles import server_profile


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


def error_reply(request: Any, status: int, message: str) -> Any:
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
    if type(bug) is AdapterError or (
        router is not None and router.settings.on_internal_error == "raise"
    ):
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
    if context is None or type(context) is OffCallContext:
        context = request.extensions[EXTENSION] = failed
    elif context.state.route is None:
        context.state.route = failed.state.route
    state = context.state
    if route is not None and route.backend == "responses":
        if route.strict:
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
                    losses_of(bug),
                )
                return error_reply(
                    request,
                    500,
                    f"{bug_message(bug, 'call')}, and the call can't be kept on Chat: {why}",
                )
    state.backend, state.reason, state.request_losses = "chat", "adapter-bug", losses_of(bug)
    state.reply = state.translation = None
    with suppress(Exception):  # the call is worth more than its log line
        log_call(state)
    return None
