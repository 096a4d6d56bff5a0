"""Read what a log has around a body: the URL of the request, and the usage in its reply."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from adapter._exchange.endpoints import classify_request

from .addresses import CHAT_PATH, is_other_endpoint, parse_address
from .formats import LogFormat
from .json_path import Path
from .usage import usage_of

ADDRESS_KEYS = (
    "url",
    "path",
    "endpoint",
    "uri",
    "request_uri",
    "request_url",
    "requestUrl",
    "request_path",
    ":path",
    "full_url",
    "target_url",
    "http.url",
    "url.full",
)
"""Keys under which logs have a URL or a path."""

REPLY_KEYS = (
    "response", "response_body", "output", "outputs", "reply", "completion", "choices", "result",
)  # fmt: skip
"""Keys under which logs have a reply."""

REQUEST_LINE = re.compile(r"([A-Z]{3,7}) (\S+) HTTP/[\d.]+")

_ADDRESS_KEY_SET = frozenset(ADDRESS_KEYS)
_HTTP_KEYS = ("request", "req", "http", "http_request", "httpRequest")  # a URL, perhaps a body
_METHOD_KEYS = ("method", "requestMethod")
_HEAD_KEYS = frozenset({*ADDRESS_KEYS, *_METHOD_KEYS, "headers"})
_ENVELOPE_KEYS = frozenset({*ADDRESS_KEYS, *REPLY_KEYS, *_HTTP_KEYS, "usage", "method"})
_MAX_HOST_CHARACTERS = 300


@dataclass(slots=True)  # not frozen, which takes three times as long to create
class Envelope:
    """What the levels above say of a request: its URL, and the usage in its reply."""

    raw_path: bytes = CHAT_PATH
    host: str = ""
    url: str | None = None
    chat: bool = False
    usage: dict[str, Any] | None = None
    inside: tuple[str, ...] = ()

    def nested(self, name: str) -> Envelope:
        """Return the same for one level further down."""
        return Envelope(
            self.raw_path, self.host, self.url, self.chat, self.usage, (*self.inside, name)
        )


def first_value(paths: Sequence[Path], row: Any) -> Any:
    """Return the value at the first path that leads to one."""
    return next((found for path in paths if (found := path.find(row)) is not None), None)


def is_http_head(row: dict[str, Any]) -> bool:
    """Return whether an object has the keys of an HTTP request: a URL, headers."""
    return not _HEAD_KEYS.isdisjoint(row)


def with_row(row: dict[str, Any], envelope: Envelope) -> Envelope | None:
    """Return the envelope with a level's URL and usage; None for another endpoint."""
    if _ENVELOPE_KEYS.isdisjoint(row):
        return envelope
    usage = envelope.usage if envelope.usage is not None else _usage(row)
    method, found = _address(row)
    if found is None:
        if usage is envelope.usage:
            return envelope
        return Envelope(
            envelope.raw_path, envelope.host, envelope.url, envelope.chat, usage, envelope.inside
        )
    raw_path, host, url = found
    if classify_request("POST", raw_path) == "chat":
        if isinstance(method, str) and method.upper() not in ("POST", ""):
            return None
        return Envelope(raw_path, host, url, True, usage, envelope.inside)
    return None if is_other_endpoint(raw_path) else replace(envelope, chat=False, usage=usage)


def with_format(log_format: LogFormat, row: dict[str, Any], envelope: Envelope) -> Envelope | None:
    """Return the envelope with the URL and usage of a format's paths; None for another endpoint."""
    url, host = first_value(log_format.url, row), first_value(log_format.host, row)
    found = (usage_of(path.find(row)) for path in log_format.usage)
    usage = next((one for one in found if one is not None), envelope.usage)
    if isinstance(host, str) and not envelope.host and len(host) < _MAX_HOST_CHARACTERS:
        envelope = replace(
            envelope, host=host.rpartition("://")[2].partition("/")[0].partition(":")[0]
        )
    if isinstance(url, str):
        at = parse_address(url, is_base=True)
        if at is not None:
            raw_path, host, named = at
            if is_other_endpoint(raw_path):
                return None
            envelope = replace(envelope, raw_path=raw_path, host=host or envelope.host, url=named)
    return replace(envelope, usage=usage)


def _address(row: dict[str, Any]) -> tuple[Any, tuple[bytes, str, str] | None]:
    """Return method and URL: the level's own, or those of an HTTP request in it."""
    if not _ADDRESS_KEY_SET.isdisjoint(row):
        for name in ADDRESS_KEYS:
            value = row.get(name)
            if isinstance(value, str) and (found := parse_address(value)) is not None:
                return row.get("method"), found
    for name in _HTTP_KEYS:
        inner = row.get(name)
        if isinstance(inner, str) and (line := REQUEST_LINE.match(inner)):
            return line[1], parse_address(line[2])
        if (
            isinstance(inner, dict)
            and not _ADDRESS_KEY_SET.isdisjoint(inner)
            and "messages" not in inner
        ):
            method, found = _address(inner)
            if found is not None:
                return method or inner.get("requestMethod"), found
    return row.get("method"), None


def _usage(row: dict[str, Any]) -> dict[str, Any] | None:
    for name in REPLY_KEYS:
        if (reply := row.get(name)) and (found := usage_of(reply)) is not None:
            return found
    usage = row.get("usage")
    return usage_of(usage) if isinstance(usage, dict) else None
