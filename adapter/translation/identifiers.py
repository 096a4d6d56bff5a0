"""Ids of completions and tool calls, and their counterparts on the Responses API."""

from __future__ import annotations

import hashlib
import re

_COMPLETION = "chatcmpl-"
_RESPONSE = "resp_"
_FITS = re.compile(r"[A-Za-z0-9_-]{1,64}").fullmatch


def completion_id(response_id: object) -> str:
    """Return the id of the ChatCompletion for a Response's id.

    The whole id is kept (`chatcmpl-resp_…`), so that a stored object can be found again
    (docs/decisions.md#ids).
    """
    return (
        f"{_COMPLETION}{response_id}"
        if isinstance(response_id, str) and response_id
        else _COMPLETION + "unknown"
    )


def response_id(completion_id: str) -> str | None:
    """Return the Response's id in a ChatCompletion's id; None if `completion_id` didn't make it."""
    inner = completion_id.removeprefix(_COMPLETION)
    return inner if inner != completion_id and inner.startswith(_RESPONSE) else None


def call_id(chat_id: str) -> str:
    """Return the `call_id` for a tool call's id.

    The Responses API takes 1 to 64 characters (docs/mapping.md#assistant-messages). Any other id
    becomes a digest of itself, the same for the call and its output, and in every process.
    """
    # dialect: programs (histories with longer ids, or with other characters)
    if _FITS(chat_id):
        return chat_id
    return _digest(chat_id)


def repeated_call_id(chat_id: str, times: int) -> str:
    """Return the `call_id` for a tool call whose id `times` earlier calls have used.

    It is the same in every process (docs/decisions.md#repeated-call-ids).
    """
    return _digest(f"{times} {chat_id}")


def _digest(text: str) -> str:
    return "call_" + hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:48]
