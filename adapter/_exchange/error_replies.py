"""Error replies in Chat's shape, for calls that weren't sent or whose reply can't be used."""

from __future__ import annotations

from contextlib import suppress

from adapter._util import json_codec
from adapter.errors import UpstreamFailure
from adapter.translation.replies.errors import error_to_chat
from adapter.translation.types import PathMap

from . import fallback
from .effects import FallBack, WholeReply

# The SDK would retry a 5xx; a retry of these would only be billed again.
_NO_RETRY = {"x-should-retry": "false"}


def error_reply(status: int, message: str, kind: str, param: str | None, code: str) -> WholeReply:
    """Return an error of the adapter, which the SDK doesn't retry."""
    error = {"message": message, "type": kind, "param": param, "code": code}
    return WholeReply(status, json_codec.dumps({"error": error}), headers=_NO_RETRY)


def failure_reply(failure: UpstreamFailure) -> WholeReply:
    """Return the HTTP error of a failed response; the SDK may retry it if there was no output."""
    headers = _NO_RETRY if failure.spoke else {}
    body = json_codec.dumps({"error": failure.error})
    return WholeReply(failure.status, body, headers=headers, failure=failure)


def adapter_bug(bug: Exception) -> WholeReply:
    """Return the error for a reply on which the adapter itself failed."""
    why = f"$: the adapter failed on the reply ({type(bug).__name__})"
    return error_reply(502, why, "server_error", None, "adapter_bug")


def fallback_impossible(cause: FallBack, paths: PathMap, responses_only_reason: str) -> WholeReply:
    """Return the error of a call that the Responses API refused and Chat can't serve.

    It is upstream's own error, if there is one, with the reason why there is no fallback.
    """
    status = cause.head.status if cause.head.status >= 400 else 502
    note = f"the call can't go to Chat Completions instead: {responses_only_reason}"
    with suppress(Exception):  # an HTML page, or an adapter bug
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
