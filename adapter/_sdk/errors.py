"""The exceptions that a client of the SDK raises where the adapter itself fails."""

from __future__ import annotations

from typing import Any

import openai

from adapter._runtime.call_context import EXTERNAL_ERROR, CallContext, OffCallContext
from adapter._runtime.internal_errors import bug_message, context_after_bug, is_adapter_error
from adapter.errors import AdapterError


def is_bug(error: BaseException) -> bool:
    """Return whether an exception is a bug of the adapter.

    Not one are the SDK's own errors, those of transports and of callers' streams, and misuse.
    """
    if not isinstance(error, Exception) or isinstance(error, (openai.OpenAIError, AdapterError)):
        return False
    if isinstance(error, RuntimeError) and isinstance(error.__cause__, StopIteration):
        error = error.__cause__  # a coroutine turns it into a RuntimeError
    return not hasattr(error, EXTERNAL_ERROR) and is_adapter_error(error)


def restart_after_bug(context: CallContext, bug: BaseException) -> CallContext | Exception | None:
    """Decide how a client's call continues after an exception.

    Return a context to repeat the call with, which goes to Chat as it came; an exception to raise
    in its place; or None if the exception is to be raised as it is: it isn't a bug of the
    adapter, or `on_bug = "raise"`. A call is repeated once, and only if nothing was sent
    (docs/decisions.md#internal-errors).
    """
    if (
        not isinstance(bug, Exception)
        or context.router.settings.on_bug == "raise"
        or not is_bug(bug)
    ):
        return None
    if type(context) is OffCallContext or context.requests_sent or context.restarted:
        return api_error(bug)
    again = context_after_bug(context.router, bug, by_client=True)
    if again is None:
        return api_error(bug)
    again.restarted = True
    return again


def api_error(bug: Exception, response: Any = None) -> Exception:
    """Make the SDK's error for a call on which the adapter failed."""
    request: Any = getattr(response, "_request", None)
    body = {
        "message": bug_message(bug, "call"),
        "type": "server_error",
        "param": None,
        "code": "adapter_bug",
    }
    return openai.APIError(body["message"] or "", request, body=body)
