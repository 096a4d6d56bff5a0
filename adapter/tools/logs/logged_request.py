"""The results of reading a log row: a chat request, a row without one, or why it can't be read."""

from __future__ import annotations

import enum
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

from adapter._exchange.endpoints import azure_deployment

from .addresses import CHAT_PATH
from .envelope import REPLY_KEYS, Envelope
from .json_path import read_text
from .messages import messages_of
from .parameters import body_from_row, is_known, value_of

UnreadableReason = Literal["not JSON", "no chat request", "no chat request at --body", "too long"]
"""Why a line can't be read; `--body` is the path of bodies."""


class NonRequest(enum.Enum):
    """A row that isn't a chat request: a request to another endpoint, only a reply, or neither."""

    OTHER_ENDPOINT = "other endpoint"
    ANSWER = "answer"
    NOTHING = "nothing"


OTHER_ENDPOINT: Final = NonRequest.OTHER_ENDPOINT
"""A row that is a request to another endpoint."""
NON_REQUESTS = {one.value: one for one in NonRequest}


@dataclass(slots=True)  # not frozen, which takes four times as long to create
class LoggedRequest:
    """One logged chat request: its body, where it was sent, and the usage in its reply.

    `inside` are the keys that lead to the body. `url` is the URL as logged, with Chat's path added
    to a base URL. `format` is the name of the row's format, if it has one. `missing` are the parts
    of the request that aren't in the log: "messages" or "model".
    """

    body: Any
    raw_path: bytes = CHAT_PATH
    host: str = ""
    usage: dict[str, Any] | None = None
    inside: tuple[str, ...] = ()
    url: str | None = None
    format: str = ""
    missing: tuple[str, ...] = ()


RowResult = LoggedRequest | UnreadableReason | NonRequest
NO_REQUEST: Final = "no chat request"


def logged_request(
    envelope: Envelope, body: Any, name: str = "", missing: tuple[str, ...] = ()
) -> LoggedRequest:
    """Make a logged request; `name` is that of its format."""
    if (
        isinstance(body, dict)
        and not body.get("model")
        and azure_deployment(envelope.raw_path) is None
    ):
        missing = (*missing, "model")
    if isinstance(body, dict) and not has_chat_messages(body.get("messages")):
        body = _read_messages(body)
    return LoggedRequest(
        body,
        envelope.raw_path,
        envelope.host,
        envelope.usage,
        envelope.inside,
        envelope.url,
        name,
        missing,
    )


def with_outer_parameters(one: RowResult, row: dict[str, Any]) -> RowResult:
    """Return a request with the parameters of the level above it, if the model is there."""
    if (
        type(one) is not LoggedRequest
        or "model" not in one.missing
        or not isinstance(row.get("model"), str)
    ):
        return one
    missing = tuple(part for part in one.missing if part != "model")
    return replace(one, body={**body_from_row(row, row, REPLY_KEYS), **one.body}, missing=missing)


def has_chat_messages(messages: Any) -> bool:
    """Return whether messages are Chat's, by the first of them."""
    return type(messages) is list and (
        not messages or (type(messages[0]) is dict and "role" in messages[0])
    )


def _read_messages(body: dict[str, Any]) -> dict[str, Any]:
    """Return a body with Chat's messages, read from a string or from another library's format."""
    messages = body.get("messages")
    if isinstance(messages, str):
        read = read_text(messages)
        cells = {
            key: value_of(key, value) if isinstance(value, str) and is_known(key) else value
            for key, value in body.items()
        }
        return {**cells, "messages": read} if isinstance(read, list) else body
    if isinstance(messages, list) and all(isinstance(one, dict) for one in messages):
        found = messages_of(messages)
        return (
            {**body, "messages": found}
            if found is not None and len(found) == len(messages)
            else body
        )
    return body
