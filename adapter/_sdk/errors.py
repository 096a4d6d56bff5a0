"""What a client of the SDK's raises where the adapter itself fails: an error of the SDK's, unless the call can be made anew as it came."""

from __future__ import annotations

from typing import Any

import openai

from adapter._runtime.call_context import EXTERNAL_ERROR, CallContext, SharedCallContext
from adapter._runtime.internal_errors import bug_message, context_after_bug, is_adapter_error
from adapter.errors import AdapterError


def is_bug(error: BaseException) -> bool:
    """Tell whether an exception is a bug of the adapter's: none of the SDK's own, of a transport's, or of misuse."""
    if not isinstance(error, Exception) or isinstance(error, (openai.OpenAIError, AdapterError)):
        return False
    if isinstance(error, RuntimeError) and isinstance(error.__cause__, StopIteration):
        error = error.__cause__  # which a coroutine of ours hasn't let pass: it says who raised it
    return not hasattr(error, EXTERNAL_ERROR) and is_adapter_error(error)


def restart_after_bug(context: CallContext, bug: BaseException) -> CallContext | Exception | None:
    """Say how a client's call goes on that was left by an exception: with this ticket, anew; by raising this; None: by raising what it was.

    The SDK's own errors, and those of hooks, validators and transports that aren't the adapter's, stay as they are.
    """
    if (
        not isinstance(bug, Exception)
        or context.router.settings.on_bug == "raise"
        or not is_bug(bug)
    ):
        return None
    if type(context) is SharedCallContext or context.requests_sent or context.restarted:
        return api_error(bug)
    again = context_after_bug(context.router, bug, by_client=True)
    if again is None:
        return api_error(bug)
    again.restarted = True
    return again


def api_error(bug: Exception, response: Any = None) -> Exception:
    """Make the SDK's error for a call on which the adapter has failed."""
    request: Any = getattr(response, "_request", None)
    body = {
        "message": bug_message(bug, "call"),
        "type": "server_error",
        "param": None,
        "code": "adapter_bug",
    }
    return openai.APIError(body["message"] or "", request, body=body)
