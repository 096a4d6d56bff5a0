"""Addresses that logs name: which are of chat calls, and which of calls to other endpoints."""

from __future__ import annotations

import re

from adapter._exchange.endpoints import kind_of

CHAT_PATH = b"/chat/completions"
_OTHERS = (
    "responses|embeddings|completions|messages|moderations|images|audio|models|files|batches|assistants|threads|"
    "vector_stores|fine_tuning|realtime|uploads|conversations|evals|containers|videos|rerank|tokenize|organization"
)
_VENDORS = (
    r":(?:streamG|g)enerateContent|:(?:batchE|e)mbedContents?|:countTokens|/model/[^/]+/(?:invoke|converse)[\w-]*"
)
_ELSEWHERE = re.compile(rf"/v\d+/(?:{_OTHERS})(?:/|$)|/(?:{_OTHERS})/*$|(?:{_VENDORS})$")
_LONGEST = 10_000


def address(value: str, *, is_base: bool = False) -> tuple[bytes, str, str] | None:
    """Read a path or a URL: raw path, host, and itself. A base gets the path of chat calls."""
    if not (value.startswith("/") or "://" in value[:9]) or len(value) > _LONGEST:
        return None
    host, path = "", value
    if not value.startswith("/"):
        host, slash, rest = value.partition("://")[2].partition("/")
        path = slash + rest
    raw_path = path.encode("utf-8", "surrogatepass")
    if is_base and not is_elsewhere(raw_path) and kind_of("POST", raw_path) != "chat":
        raw_path = raw_path.partition(b"?")[0].rstrip(b"/") + CHAT_PATH
        value = value.partition("?")[0].rstrip("/") + CHAT_PATH.decode()
    return raw_path, host.rpartition("@")[2].partition(":")[0], value


def is_elsewhere(raw_path: bytes) -> bool:
    """Tell whether a path is another endpoint's; of one that says nothing it isn't told."""
    if kind_of("POST", raw_path) == "chat":
        return False
    return _ELSEWHERE.search(raw_path.partition(b"?")[0].decode("utf-8", "replace")) is not None
