"""Background runs: poll a Response that isn't finished until it is.

Only when the caller has requested that, with `background` and `store`. Any other unfinished
Response is an error that the SDK doesn't retry, since each retry would start another run
(docs/decisions.md#background-runs).
"""

from __future__ import annotations

import re
from collections.abc import Generator
from typing import Any
from urllib.parse import quote

from adapter._util import fast_json
from adapter.translation.replies.errors import UNFINISHED, printable_id
from adapter.translation.types import ReplyContext

from .effects import READ_REPLY, Effect, ReplyHead, Send, SetCancelPath, Wait, WholeReply
from .error_replies import error_reply

FIRST_WAIT, GROWTH, LONGEST_WAIT = 1.0, 1.5, 10.0
"""Seconds before the first poll, the factor by which the wait grows, and its maximum."""


def unfinished_response(raw: bytes) -> dict[str, Any] | None:
    """Return the Response in a reply if it isn't finished yet, else None."""
    try:
        response = fast_json.loads(raw)
    except ValueError:
        return None
    unfinished = (
        isinstance(response, dict)
        and response.get("status") in UNFINISHED
        and not response.get("error")
    )
    return response if unfinished else None


def poll_gen(
    response: dict[str, Any], context: ReplyContext, path: bytes | None
) -> Generator[Effect, Any, bytes | WholeReply]:
    """Poll a Response until it is finished; return its body, or the error for the caller.

    `path` is the path of the request that started the run. The run is cancelled when the caller
    leaves or the call times out.
    """
    run = _response_path(response, path)
    if run is None or not (context.background and context.stored):
        return _unfinished_error(
            response, "it can't be polled: polling needs background and store, both true"
        )
    yield SetCancelPath(_append_to_path(run, b"/cancel"))
    seconds = FIRST_WAIT
    while True:
        if not (yield Wait(seconds)):
            yield SetCancelPath(None, cancel_now=True)
            return _unfinished_error(
                response, "the call timed out, and the response was cancelled", status=504
            )
        try:
            head: ReplyHead = yield Send(path=run, method="GET")
            raw: bytes = yield READ_REPLY
        except Exception:  # noqa: BLE001  # a failed connection doesn't end the run
            head, raw = ReplyHead(503, ""), b""
        seconds = min(seconds * GROWTH, LONGEST_WAIT)
        if head.status == 429 or head.status >= 500:
            seconds = max(seconds, head.retry_after or 0.0)
        elif head.status != 200:
            yield SetCancelPath(None)
            why = f"polling it returned status {head.status}"
            return _unfinished_error(
                response, why, status=head.status if head.status >= 400 else 502
            )
        elif unfinished_response(raw) is None:
            yield SetCancelPath(None)
            return raw


def cancel_path(response_id: Any, path: bytes | None) -> bytes | None:
    """Return the path that cancels a run; None if its id can't be put into a path."""
    run = _response_path({"id": response_id}, path)
    return None if run is None else _append_to_path(run, b"/cancel")


def _response_path(response: dict[str, Any], path: bytes | None) -> bytes | None:
    response_id = response.get("id")
    if (
        path is None
        or not isinstance(response_id, str)
        or not re.fullmatch(r"[\w.-]{1,512}", response_id, re.ASCII)
        or not response_id.strip(".")
    ):
        return None
    return _append_to_path(path, b"/" + quote(response_id, safe="").encode())


def _append_to_path(path: bytes, suffix: bytes) -> bytes:
    base, mark, query = path.partition(b"?")
    return base + suffix + mark + query


def _unfinished_error(response: dict[str, Any], why: str, *, status: int = 400) -> WholeReply:
    message = f"$: the response {printable_id(response)} isn't finished; {why}"
    kind = "invalid_request_error" if status < 500 else "server_error"
    return error_reply(status, message, kind, None, "response_not_finished")
