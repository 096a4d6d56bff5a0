"""URLs: what identifies a server's API, and the same URL with another path."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from adapter._runtime.protocols import BaseUrl

_MAX_CACHED = 300  # characters of a URL


def base_url_of(url: Any) -> BaseUrl:
    """Return what identifies a base URL: everything before the path of the call."""
    path: bytes = url.raw_path.partition(b"?")[0]
    return url.scheme, url.host, url.port, path.rpartition(b"/chat/completions")[0] or path


def with_path(url: Any, raw_path: bytes) -> Any:
    """Return a URL with another path and query; `raw_path` is quoted already.

    Parsing one costs about 4 % of a short call through a transport, so the last ones are kept, but
    none with a query or a user's name, which may hold a key.
    """
    text = str(url)
    if len(text) > _MAX_CACHED or "?" in text or "@" in text or b"?" in raw_path:
        return url.copy_with(raw_path=raw_path)
    cls: Any = type(url)
    return _parsed(cls, text, raw_path)


@lru_cache(maxsize=64)
def _parsed(cls: Any, text: str, raw_path: bytes) -> Any:
    return cls(text).copy_with(raw_path=raw_path)
