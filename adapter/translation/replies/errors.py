"""Errors, responses → chat: bodies before the stream, events inside it, failed responses.

Status and error code stay what upstream said; only `param` is put in Chat's terms (docs/decisions.md#errors).
"""

from __future__ import annotations

import re
from typing import Any

from adapter._util import safe_names
from adapter.errors import UpstreamFailure
from adapter.translation.objects.content_filter import error_details
from adapter.translation.types import PathMap

from .error_params import param_to_chat, with_path
from .error_statuses import STATUS_KEYS, status_of

_TYPE_OF_STATUS = {400: "invalid_request_error", 401: "invalid_request_error", 403: "invalid_request_error",
         404: "invalid_request_error", 422: "invalid_request_error", 429: "rate_limit_error"}  # fmt: skip
# Where the type isn't given, these codes are their own type on Chat.
_CODE_IS_TYPE = {"insufficient_quota", "server_error"}

# What an event has around the error that it is itself.
_ENVELOPE = {"error", "event_id", "response", "response_id", "sequence_number", "type"}


def make_failure(
    path: str,
    error: Any,
    paths: PathMap | None = None,
    *,
    why: str = "The response failed.",
    spoke: bool = False,
) -> UpstreamFailure:
    """Make the exception for an error object, or an error's text, found in a reply or an event."""
    given = (
        error
        if isinstance(error, dict)
        else {"message": error}
        if isinstance(error, str) and error
        else {}
    )
    code = given.get("code")
    if not isinstance(code, (str, int)) or isinstance(code, bool):
        code = None
    status = status_of(given)
    kind = given.get("type")
    if not isinstance(kind, str) or kind == "error" or not kind:
        kind = code if code in _CODE_IS_TYPE else _TYPE_OF_STATUS.get(status, "server_error")
    message = given.get("message")
    param = param_to_chat(given.get("param"), paths)
    message = message if isinstance(message, str) and message else why
    chat = {
        "message": with_path(message, given.get("param"), paths),
        "type": kind,
        "param": param,
        "code": code,
    }
    known = {"message", "type", "param", "code", "sequence_number"}
    chat |= {key: value for key, value in given.items() if key not in known}
    chat |= error_details(given)
    detailed = any(given.get(key) for key in ("message", "code")) or given.get("type") not in (
        None,
        "",
        "error",
    )
    return UpstreamFailure(path, chat, status, spoke=spoke, given=given if detailed else None)


def error_event(event: Any, name: str = "") -> dict[str, Any] | None:
    """Return an event that tells of an error, so that `event_failure` can read it; None for any other.

    Besides the two shapes of an `error` event there are Chat's own, and the bare error, told by its type
    or by the event's `name`.
    """
    if not isinstance(event, dict):
        return None
    kind = event.get("type")
    if kind in ("error", "response.error"):
        return event
    if event.get("error") and (kind is None or name == "error"):
        return {**event, "type": "error"}
    named = isinstance(kind, str) and kind.lower().endswith("error")
    if name == "error" or named or event.get("object") == "error":
        return {"type": "error", "error": event.get("error") or event}
    return None


def event_failure(event: dict[str, Any], paths: PathMap | None = None) -> UpstreamFailure:
    """Make the exception for an `error` event.

    The SDK's types say that it is flat; on the wire its error is nested as well (docs/edge-cases.md#error-events; docs/mapping.md#stream-errors).
    """
    response = event.get("response")
    error = event.get("error") or (response.get("error") if isinstance(response, dict) else None)
    beside = {key: value for key, value in event.items() if key not in _ENVELOPE}
    if isinstance(error, dict) and error:
        error = {key: beside[key] for key in STATUS_KEYS if key in beside} | _unwrapped(error)
    else:
        error = beside | {"message": error} if isinstance(error, str) and error else beside
    return make_failure("error", error, paths, why="The stream failed.")


UNFINISHED = ("queued", "in_progress")
"""The states of a response that is still to come."""


def printable_id(response: dict[str, Any]) -> str:
    """Return a response's id, for messages."""
    own = response.get("id")
    return (
        own
        if isinstance(own, str) and re.fullmatch(r"[\w.:-]{1,128}", own, re.ASCII)
        else "without an id"
    )


def response_failure(
    response: dict[str, Any], paths: PathMap | None = None, *, event_error: Any = None
) -> UpstreamFailure:
    """Make the exception for a response that failed, was cancelled or has not run.

    `beside` is the error that stands beside the response in its event, where the response has none.
    """
    status = response.get("status")
    if status in UNFINISHED and not response.get("error"):
        why = f"The response {printable_id(response)} is {status}, and isn't waited for."
        error = {
            "message": why,
            "type": "invalid_request_error",
            "param": None,
            "code": "response_not_finished",
        }
        return UpstreamFailure(
            "status", error, 400, spoke=True, given={}
        )  # another try would start another run
    why = (
        "The response failed."
        if status in (None, "failed")
        else f"The response is {safe_names.name(status)}."
    )
    # One that was cancelled, or is in a state of a server's own, may be run again by its caller, but not by a retry.
    spoke = bool(response.get("output")) or status not in (
        None,
        "failed",
        "completed",
        "incomplete",
        *UNFINISHED,
    )
    given = _unwrapped(response.get("error") or event_error or _reason(response))
    return make_failure("error", given, paths, why=why, spoke=spoke)


def _unwrapped(error: Any) -> Any:
    """Return an error without the body of a reply around it, which some gateways put in its place."""
    inner = error.get("error") if isinstance(error, dict) and not error.get("message") else None
    return inner if isinstance(inner, dict) and inner else error


def _reason(response: dict[str, Any]) -> dict[str, Any]:
    """Return the error that a failed response without one has for its reason."""
    details = response.get("incomplete_details")
    reason = details.get("reason") if isinstance(details, dict) else None
    return {"code": reason} if isinstance(reason, str) and reason else {}


def error_to_chat(body: Any, index: PathMap | None) -> Any:
    """Translate the JSON body of a reply with an error status; what isn't shaped like the API's error stays as it is."""
    error = body.get("error") if isinstance(body, dict) else None
    if not isinstance(error, dict):
        return body
    changes = error_details(error)
    given, message = error.get("param"), error.get("message")
    param = param_to_chat(given, index)
    if param != given:
        changes["param"] = param
    if isinstance(message, str) and (changed := with_path(message, given, index)) != message:
        changes["message"] = changed
    return {**body, "error": error | changes} if changes else body
