"""Translate errors, Responses → Chat: error replies, error events, failed responses.

Status and code stay those of upstream; `param` becomes a path of the Chat request
(docs/decisions.md#errors).
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

_TYPE_OF_STATUS = {
    **dict.fromkeys((400, 401, 403, 404, 422), "invalid_request_error"),
    429: "rate_limit_error",
}
# These codes are their own type on Chat, if no type is given.
_CODE_IS_TYPE = {"insufficient_quota", "server_error"}

# The keys of an event that don't belong to the error in it.
_ENVELOPE = {"error", "event_id", "response", "response_id", "sequence_number", "type"}


def make_failure(
    path: str,
    error: Any,
    paths: PathMap | None = None,
    *,
    why: str = "The response failed.",
    spoke: bool = False,
) -> UpstreamFailure:
    """Return the exception for an error, an object or its text, at `path` of a reply or event.

    `why`: the message if the error has none. `spoke`: there was output before it.
    """
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
    """Return an error event in the form that `event_failure` reads; None for any other event.

    `name`: from the `event:` line. See docs/mapping.md#stream-errors.
    """
    # dialect: several (Chat's error frame, or the bare error)
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
    """Return the exception for an `error` event (docs/edge-cases.md#error-events)."""
    # dialect: OpenAI, Azure (the error is nested; the SDK's types have it flat)
    response = event.get("response")
    error = event.get("error") or (response.get("error") if isinstance(response, dict) else None)
    beside = {key: value for key, value in event.items() if key not in _ENVELOPE}
    if isinstance(error, dict) and error:
        error = {key: beside[key] for key in STATUS_KEYS if key in beside} | _unwrapped(error)
    else:
        error = beside | {"message": error} if isinstance(error, str) and error else beside
    return make_failure("error", error, paths, why="The stream failed.")


UNFINISHED = ("queued", "in_progress")
"""The statuses of a response that isn't finished."""


def printable_id(response: dict[str, Any]) -> str:
    """Return a response's id for messages."""
    own = response.get("id")
    return (
        own
        if isinstance(own, str) and re.fullmatch(r"[\w.:-]{1,128}", own, re.ASCII)
        else "without an id"
    )


def response_failure(
    response: dict[str, Any], paths: PathMap | None = None, *, event_error: Any = None
) -> UpstreamFailure:
    """Return the exception for a response that failed, was cancelled or isn't finished.

    `event_error`: the error beside the response in its event, used if the response has none.
    """
    status = response.get("status")
    if status in UNFINISHED and not response.get("error"):
        why = f"The response {printable_id(response)} is {status}; the adapter doesn't wait for it."
        error = {
            "message": why,
            "type": "invalid_request_error",
            "param": None,
            "code": "response_not_finished",
        }
        # `spoke` forbids a retry, which would start another run.
        return UpstreamFailure("status", error, 400, spoke=True, given={})
    why = (
        "The response failed."
        if status in (None, "failed")
        else f"The response is {safe_names.name(status)}."
    )
    # With any other status (cancelled, or unknown) only the caller may decide to run it again.
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
    """Return an error without the body of a reply around it."""
    # dialect: gateways (the whole body in place of the error)
    inner = error.get("error") if isinstance(error, dict) and not error.get("message") else None
    return inner if isinstance(inner, dict) and inner else error


def _reason(response: dict[str, Any]) -> dict[str, Any]:
    """Return an error made of `incomplete_details`, for a failed response without an error."""
    details = response.get("incomplete_details")
    reason = details.get("reason") if isinstance(details, dict) else None
    return {"code": reason} if isinstance(reason, str) and reason else {}


def error_to_chat(body: Any, index: PathMap | None) -> Any:
    """Translate the JSON body of an error reply; without an error object it stays as it is."""
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
