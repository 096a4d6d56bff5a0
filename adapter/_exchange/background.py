"""Runs in the background: a Response that isn't finished when it comes is asked for until it is.

Only where the caller has asked for that, with `background` and `store`. Anything else that isn't
finished is an error which the SDK doesn't try again: each try would start another run.
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
"""Seconds between two questions: the first, how they grow, and the most."""


def unfinished_response(raw: bytes) -> dict[str, Any] | None:
    """Return the Response of a reply that isn't finished yet; None for any other reply."""
    try:
        response = fast_json.loads(raw)
    except ValueError:
        return None
    under_way = (
        isinstance(response, dict)
        and response.get("status") in UNFINISHED
        and not response.get("error")
    )
    return response if under_way else None


def poll_gen(
    response: dict[str, Any], context: ReplyContext, path: bytes | None
) -> Generator[Effect, Any, bytes | WholeReply]:
    """Ask for a Response until it is finished; give its body, or the error that the caller gets.

    `path` is that of the request which started it. When the caller leaves, or the call's time is
    over, the run is cancelled.
    """
    run = _response_path(response, path)
    if run is None or not (context.background and context.stored):
        return _unfinished_error(
            response, "nobody can wait for it: that takes background and store, both true"
        )
    yield SetCancelPath(_append_to_path(run, b"/cancel"))
    seconds = FIRST_WAIT
    while True:
        if not (yield Wait(seconds)):
            yield SetCancelPath(None, cancel_now=True)
            return _unfinished_error(
                response, "the call's time is over, and it was cancelled", status=504
            )
        try:
            head: ReplyHead = yield Send(path=run, method="GET")
            raw: bytes = yield READ_REPLY
        except Exception:  # noqa: BLE001  # the run goes on, whatever became of a connection
            head, raw = ReplyHead(503, ""), b""
        seconds = min(seconds * GROWTH, LONGEST_WAIT)
        if head.status == 429 or head.status >= 500:
            seconds = max(seconds, head.retry_after or 0.0)
        elif head.status != 200:
            yield SetCancelPath(None)
            why = f"asked for it, upstream answered with the status {head.status}"
            return _unfinished_error(
                response, why, status=head.status if head.status >= 400 else 502
            )
        elif unfinished_response(raw) is None:
            yield SetCancelPath(None)
            return raw


def cancel_path(response_id: Any, path: bytes | None) -> bytes | None:
    """Return where a run is cancelled; None where it has no id that can be asked for."""
    run = _response_path({"id": response_id}, path)
    return None if run is None else _append_to_path(run, b"/cancel")


def _response_path(response: dict[str, Any], path: bytes | None) -> bytes | None:
    own = response.get("id")
    if (
        path is None
        or not isinstance(own, str)
        or not re.fullmatch(r"[\w.-]{1,512}", own, re.ASCII)
        or not own.strip(".")
    ):
        return None
    return _append_to_path(path, b"/" + quote(own, safe="").encode())


def _append_to_path(path: bytes, suffix: bytes) -> bytes:
    base, mark, query = path.partition(b"?")
    return base + suffix + mark + query


def _unfinished_error(response: dict[str, Any], why: str, *, status: int = 400) -> WholeReply:
    message = f"$: the response {printable_id(response)} isn't finished; {why}"
    kind = "invalid_request_error" if status < 500 else "server_error"
    return error_reply(status, message, kind, None, "response_not_finished")
