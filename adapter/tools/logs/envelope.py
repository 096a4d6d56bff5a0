"""What a log says around a body: the address that the request went to, and the tokens of its answer."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from adapter._exchange.endpoints import kind_of

from .addresses import CHAT_PATH, address, is_elsewhere
from .formats import LogFormat
from .json_path import Path
from .usage import usage_of

PATHS = (
    "url", "path", "endpoint", "uri", "request_uri", "request_url", "requestUrl", "request_path", ":path", "full_url", "target_url", "http.url",
    "url.full",
)  # fmt: skip
"""Keys under which logs have an address."""

REPLIES = (
    "response", "response_body", "output", "outputs", "reply", "completion", "choices", "result",
)  # fmt: skip
"""Keys under which logs have an answer."""

REQUEST_LINE = re.compile(r"([A-Z]{3,7}) (\S+) HTTP/[\d.]+")

_ADDRESSES = frozenset(PATHS)
_OF_HTTP = ("request", "req", "http", "http_request", "httpRequest")  # hold an address, and maybe no body
_METHODS = ("method", "requestMethod")
_HEADS = frozenset({*PATHS, *_METHODS, "headers"})
_NOTABLE = frozenset({*PATHS, *REPLIES, *_OF_HTTP, "usage", "method"})
_LONGEST_HOST = 300


@dataclass(slots=True)  # not frozen: those take three times as long to make
class Around:
    """What the levels above say of a request: where it went, and what its answer told of."""

    raw_path: bytes = CHAT_PATH
    host: str = ""
    url: str | None = None
    chat: bool = False
    usage: dict[str, Any] | None = None
    inside: tuple[str, ...] = ()

    def under(self, name: str) -> Around:
        """Return the same a level further down."""
        return Around(self.raw_path, self.host, self.url, self.chat, self.usage, (*self.inside, name))


def first(paths: Sequence[Path], row: Any) -> Any:
    """Return what the first path leads to that leads to something."""
    return next((found for path in paths if (found := path.find(row)) is not None), None)


def is_head(row: dict[str, Any]) -> bool:
    """Tell the head of an HTTP request, address and headers, from a body."""
    return not _HEADS.isdisjoint(row)


def placed(row: dict[str, Any], around: Around) -> Around | None:
    """Return what is known with a level's address and answer; None for another endpoint's."""
    if _NOTABLE.isdisjoint(row):
        return around
    usage = around.usage if around.usage is not None else _usage(row)
    method, found = _address(row)
    if found is None:
        if usage is around.usage:
            return around
        return Around(around.raw_path, around.host, around.url, around.chat, usage, around.inside)
    raw_path, host, url = found
    if kind_of("POST", raw_path) == "chat":
        if isinstance(method, str) and method.upper() not in ("POST", ""):
            return None
        return Around(raw_path, host, url, True, usage, around.inside)
    return None if is_elsewhere(raw_path) else replace(around, chat=False, usage=usage)


def told(shape: LogFormat, row: dict[str, Any], around: Around) -> Around | None:
    """Return what a shape says of address and answer; None for another endpoint's address."""
    url, host = first(shape.url, row), first(shape.host, row)
    found = (usage_of(path.find(row)) for path in shape.usage)
    usage = next((one for one in found if one is not None), around.usage)
    if isinstance(host, str) and not around.host and len(host) < _LONGEST_HOST:
        around = replace(around, host=host.rpartition("://")[2].partition("/")[0].partition(":")[0])
    if isinstance(url, str):
        at = address(url, is_base=True)
        if at is not None:
            raw_path, host, named = at
            if is_elsewhere(raw_path):
                return None
            around = replace(around, raw_path=raw_path, host=host or around.host, url=named)
    return replace(around, usage=usage)


def _address(row: dict[str, Any]) -> tuple[Any, tuple[bytes, str, str] | None]:
    """Return method and address: a level's own, else those of the head of a request in it."""
    if not _ADDRESSES.isdisjoint(row):
        for name in PATHS:
            value = row.get(name)
            if isinstance(value, str) and (found := address(value)) is not None:
                return row.get("method"), found
    for name in _OF_HTTP:
        inner = row.get(name)
        if isinstance(inner, str) and (line := REQUEST_LINE.match(inner)):
            return line[1], address(line[2])
        if isinstance(inner, dict) and not _ADDRESSES.isdisjoint(inner) and "messages" not in inner:
            method, found = _address(inner)
            if found is not None:
                return method or inner.get("requestMethod"), found
    return row.get("method"), None


def _usage(row: dict[str, Any]) -> dict[str, Any] | None:
    for name in REPLIES:
        if (reply := row.get(name)) and (found := usage_of(reply)) is not None:
            return found
    usage = row.get("usage")
    return usage_of(usage) if isinstance(usage, dict) else None
