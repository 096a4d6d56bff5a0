"""Ids that must survive the way there and back."""

from __future__ import annotations

import hashlib
import re

_COMPLETION = "chatcmpl-"
_RESPONSE = "resp_"
_FITS = re.compile(r"[A-Za-z0-9_-]{1,64}").fullmatch


def completion_id(response_id: object) -> str:
    """Make the id of a ChatCompletion out of a Response's id.

    The whole id is kept (`chatcmpl-resp_…`), so that a stored object can be found again (docs/decisions.md#ids).
    """
    return (
        f"{_COMPLETION}{response_id}"
        if isinstance(response_id, str) and response_id
        else _COMPLETION + "unknown"
    )


def response_id(completion_id: str) -> str | None:
    """Return the Response's id inside a ChatCompletion's id, or None where it isn't one that we made."""
    inner = completion_id.removeprefix(_COMPLETION)
    return inner if inner != completion_id and inner.startswith(_RESPONSE) else None


def call_id(chat_id: str) -> str:
    """Return the `call_id` for a tool call's id.

    The Responses API takes 1 to 64 characters (docs/mapping.md#assistant-messages); histories made with other vendors hold longer ids and
    other characters. Those become a digest of the whole id: the same for the call and for its output, and the same in
    every process.
    """
    if _FITS(chat_id):
        return chat_id
    return _digest(chat_id)


def repeated_call_id(chat_id: str, times: int) -> str:
    """Return the `call_id` for a tool call whose id so many calls before it have.

    It is the same in every process.
    """
    return _digest(f"{times} {chat_id}")


def _digest(text: str) -> str:
    return "call_" + hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:48]
