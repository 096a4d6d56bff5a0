"""Rows of logs: what a row wraps around the body of a chat request, whoever wrote it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Literal

from adapter import quick
from adapter.endpoints import kind_of

CHAT_PATH = b"/chat/completions"
_BODIES = ("body", "request", "json", "input", "request_body", "payload", "data", "params", "kwargs")
_PATHS = ("url", "path", "endpoint", "uri")
_REPLIES = ("response", "response_body", "output", "reply")
_OTHERS = "responses|embeddings|completions|messages|moderations|images|audio|models|files|batches"
_ELSEWHERE = re.compile(rf"/v\d+/(?:{_OTHERS})(?:/|$)|/(?:{_OTHERS})/*$")
_NOTABLE = frozenset({*_PATHS, *_REPLIES, "usage"})
_DEPTH = 4

Why = Literal["not JSON", "no chat request in it", "too long"]
"""Why a line can't be read."""


@dataclass(frozen=True, slots=True)
class Logged:
    """One logged chat request: its body, the path and the host it went to, and the usage that its answer told of, if any.

    `inside` are the keys under which the row held the body, `url` is the address as the row has it.
    """

    body: Any
    raw_path: bytes = CHAT_PATH
    host: str = ""
    usage: dict[str, Any] | None = None
    inside: tuple[str, ...] = ()
    url: str | None = None


ELSEWHERE = object()
"""A row that is a request to another endpoint."""


def unwrap(row: Any) -> Logged | Why | object:
    """Find the chat request in a row; or say why there is none: a reason, or ELSEWHERE.

    A row is a bare body; or it holds one, as JSON or as its text, under `body`, `request`, `json`, `input` and the like, one in the
    other (`{"request": {"body": …}}`, `{"method", "url", "body"}`); the answer may stand beside it (`response`).
    """
    raw_path, host, chat, usage = CHAT_PATH, "", False, None
    inside: tuple[str, ...] = ()
    url: str | None = None
    for depth in range(_DEPTH):
        try:
            row = _read(row)
        except ValueError:
            return "not JSON"
        if not isinstance(row, dict):
            return "no chat request in it"
        if _NOTABLE.isdisjoint(row):
            found = None
        else:
            usage = _usage(row) if usage is None else usage
            found = _place(row)
        if found is not None:
            where, host, named = found
            chat = kind_of("POST", where) == "chat"
            if chat:
                raw_path, url = where, named
            elif _elsewhere(where):
                return ELSEWHERE
        if "messages" in row:
            return Logged(row, raw_path, host, usage, inside, url)
        name = next((name for name in _BODIES if isinstance(row.get(name), (dict, str, bytes))), None)
        if name is None or (isinstance(row.get("model"), str) and "input" in row):
            # A body without messages is a chat request only where its address says so; with `input` it is a Responses request.
            if chat and depth:
                return Logged(row, raw_path, host, usage, inside, url)
            return ELSEWHERE if "input" in row else "no chat request in it"
        row, inside = row[name], (*inside, name)
    return "no chat request in it"


def _read(row: Any) -> Any:
    """Read JSON, and JSON that was written into JSON as text."""
    for _ in range(3):
        if not isinstance(row, (str, bytes)):
            break
        row = quick.loads(row)
    return row


def _place(row: dict[str, Any]) -> tuple[bytes, str, str] | None:
    for name in _PATHS:
        value = row.get(name)
        if isinstance(value, str) and (value.startswith("/") or "://" in value[:9]):
            host, path = "", value
            if not value.startswith("/"):
                host, slash, rest = value.partition("://")[2].partition("/")
                path = slash + rest
            return path.encode("utf-8", "surrogatepass"), host.partition(":")[0], value
    return None


def _elsewhere(raw_path: bytes) -> bool:
    return _ELSEWHERE.search(raw_path.partition(b"?")[0].decode("utf-8", "replace")) is not None


def _usage(row: dict[str, Any]) -> dict[str, Any] | None:
    for name in _REPLIES:
        reply = row.get(name)
        if isinstance(reply, dict):
            for at in (reply, reply.get("body"), reply.get("json")):
                if isinstance(at, dict) and isinstance(at.get("usage"), dict):
                    return at["usage"]  # type: ignore[no-any-return]  # checked above
    usage = row.get("usage")
    return usage if isinstance(usage, dict) else None
