"""Replies that are made here: errors in Chat's shape, for calls that went nowhere or came back broken."""

from __future__ import annotations

from contextlib import suppress

from adapter._util import json_codec
from adapter.errors import UpstreamFailure
from adapter.translation.replies.errors import error_to_chat
from adapter.translation.types import PathMap

from . import fallback
from .effects import FallBack, WholeReply

_NO_RETRY = {
    "x-should-retry": "false"
}  # the SDK would retry a 5xx; this one would only be paid for twice


def error_reply(status: int, message: str, kind: str, param: str | None, code: str) -> WholeReply:
    """Make an error of our own, which the SDK doesn't try again."""
    error = {"message": message, "type": kind, "param": param, "code": code}
    return WholeReply(status, json_codec.dumps({"error": error}), headers=_NO_RETRY)


def failure_reply(failure: UpstreamFailure) -> WholeReply:
    """Make the HTTP error of a response that failed; one that never spoke may be tried again."""
    body, headers = json_codec.dumps({"error": failure.error}), _NO_RETRY if failure.spoke else {}
    return WholeReply(failure.status, body, headers=headers, failure=failure)


def adapter_bug(bug: Exception) -> WholeReply:
    """Make the error of a reply that we failed to read."""
    why = f"$: the adapter failed on the reply ({type(bug).__name__})"
    return error_reply(502, why, "server_error", None, "adapter_bug")


def fallback_impossible(cause: FallBack, paths: PathMap, responses_only_reason: str) -> WholeReply:
    """Make the error of a call that the Responses API didn't take and Chat can't: upstream's own, and why it ends here."""
    status = cause.head.status if cause.head.status >= 400 else 502
    note = f"the call can't go to Chat Completions instead: {responses_only_reason}"
    with suppress(Exception):  # a page of HTML, or a bug of ours
        error = error_to_chat(json_codec.loads(cause.raw), paths)["error"]
        if isinstance(error["message"], str):
            made = {"error": {**error, "message": f"{error['message']} ({note})"}}
            return WholeReply(status, json_codec.dumps(made), headers=_NO_RETRY)
    return error_reply(
        status,
        f"$: {fallback.REASON_TEXT[cause.reason]}, and {note}",
        "server_error",
        None,
        cause.reason,
    )
