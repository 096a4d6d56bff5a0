"""Classify the URLs in logs: chat calls, and calls to other endpoints."""

from __future__ import annotations

import re

from adapter._exchange.endpoints import classify_request

CHAT_PATH = b"/chat/completions"
_ENDPOINT_NAMES = (
    "responses|embeddings|completions|messages|moderations|images|audio|models|files|batches|"
    "assistants|threads|vector_stores|fine_tuning|realtime|uploads|conversations|evals|containers|"
    "videos|rerank|tokenize|organization"
)
_VENDOR_PATHS = (
    r":(?:streamG|g)enerateContent|:(?:batchE|e)mbedContents?|:countTokens|"
    r"/model/[^/]+/(?:invoke|converse)[\w-]*"
)
_OTHER_ENDPOINT = re.compile(
    rf"/v\d+/(?:{_ENDPOINT_NAMES})(?:/|$)|/(?:{_ENDPOINT_NAMES})/*$|(?:{_VENDOR_PATHS})$"
)
_MAX_CHARACTERS = 10_000


def parse_address(value: str, *, is_base: bool = False) -> tuple[bytes, str, str] | None:
    """Parse a path or a URL into raw path, host and itself; Chat's path is added to a base URL."""
    if not (value.startswith("/") or "://" in value[:9]) or len(value) > _MAX_CHARACTERS:
        return None
    host, path = "", value
    if not value.startswith("/"):
        host, slash, rest = value.partition("://")[2].partition("/")
        path = slash + rest
    raw_path = path.encode("utf-8", "surrogatepass")
    if is_base and not is_other_endpoint(raw_path) and classify_request("POST", raw_path) != "chat":
        raw_path = raw_path.partition(b"?")[0].rstrip(b"/") + CHAT_PATH
        value = value.partition("?")[0].rstrip("/") + CHAT_PATH.decode()
    return raw_path, host.rpartition("@")[2].partition(":")[0], value


def is_other_endpoint(raw_path: bytes) -> bool:
    """Return whether a path is of another endpoint; False for paths that don't say."""
    if classify_request("POST", raw_path) == "chat":
        return False
    return (
        _OTHER_ENDPOINT.search(raw_path.partition(b"?")[0].decode("utf-8", "replace")) is not None
    )
