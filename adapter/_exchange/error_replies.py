"""Replies that are made here: errors in Chat's shape, for calls that went nowhere or came back broken."""

from __future__ import annotations

from contextlib import suppress

from adapter._util import json_codec
from adapter.errors import UpstreamFailure
from adapter.translation.replies.errors import error_to_chat
from adapter.translation.types import IndexMap

from . import fallback
from .effects import FellBack, Rewritten

_FINAL = {"x-should-retry": "false"}  # the SDK would retry a 5xx; this one would only be paid for twice


def error_reply(status: int, message: str, kind: str, param: str | None, code: str) -> Rewritten:
    """Make an error of our own, which the SDK doesn't try again."""
    error = {"message": message, "type": kind, "param": param, "code": code}
    return Rewritten(status, json_codec.dumps({"error": error}), headers=_FINAL)


def failure_reply(failure: UpstreamFailure) -> Rewritten:
    """Make the HTTP error of a response that failed; one that never spoke may be tried again."""
    body, headers = json_codec.dumps({"error": failure.error}), _FINAL if failure.spoke else {}
    return Rewritten(failure.status, body, headers=headers, failure=failure)


def bug_in_reply(bug: Exception) -> Rewritten:
    """Make the error of a reply that we failed to read."""
    why = f"$: the adapter failed on the reply ({type(bug).__name__})"
    return error_reply(502, why, "server_error", None, "adapter_bug")


def no_way_back(why: FellBack, index: IndexMap, one_way: str) -> Rewritten:
    """Make the error of a call that the Responses API didn't take and Chat can't: upstream's own, and why it ends here."""
    status = why.head.status if why.head.status >= 400 else 502
    note = f"the call can't go to Chat Completions instead: {one_way}"
    with suppress(Exception):  # a page of HTML, or a bug of ours
        error = error_to_chat(json_codec.loads(why.raw), index)["error"]
        if isinstance(error["message"], str):
            made = {"error": {**error, "message": f"{error['message']} ({note})"}}
            return Rewritten(status, json_codec.dumps(made), headers=_FINAL)
    return error_reply(status, f"$: {fallback.WHY[why.reason]}, and {note}", "server_error", None, why.reason)
