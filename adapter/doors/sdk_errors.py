"""What a client of the SDK's raises where the adapter itself fails: an error of the SDK's, unless the call can be made anew as it came."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import openai

from adapter.errors import AdapterError

from .internal_errors import failing, why
from .ticket import PASSED_ON, Quiet, Ticket

_HERE = str(Path(__file__).parents[1])
_SDK = str(Path(openai.__file__).parent)


def is_ours(error: BaseException) -> bool:
    """Tell whether an exception comes from the adapter's code, or from what that has called, and from nobody else's."""
    at, ours = error.__traceback__, False
    while at is not None:
        file = at.tb_frame.f_code.co_filename
        if file.startswith(_HERE):
            ours = True
        elif file.startswith(_SDK):
            ours = False
        at = at.tb_next
    return ours


def retaken(ticket: Ticket, bug: BaseException) -> Ticket | Exception | None:
    """Say how a client's call goes on that was left by an exception: with this ticket, anew; by raising this; None: by raising what it was.

    The SDK's own errors, and those of hooks, validators and transports that aren't the adapter's, stay as they are.
    """
    if not isinstance(bug, Exception) or isinstance(bug, (openai.OpenAIError, AdapterError)) or not is_ours(bug):
        return None
    if hasattr(bug, PASSED_ON) or ticket.settings.on_bug == "raise":
        return None
    if type(ticket) is Quiet or ticket.sent or ticket.journal.reason == "adapter-bug":
        return api_error(bug)
    return failing(ticket.router, bug, by_client=True)


def api_error(bug: Exception, response: Any = None) -> Exception:
    """Make the SDK's error for a call on which the adapter has failed."""
    request: Any = getattr(response, "_request", None)
    body = {"message": why(bug, "call"), "type": "server_error", "param": None, "code": "adapter_bug"}
    return openai.APIError(body["message"] or "", request, body=body)
