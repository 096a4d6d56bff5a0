"""URLs with another path, made without parsing.

Parsing one costs more than translating a short request, and a cache of URLs would hold the keys in
their queries.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any


def with_path(url: Any, raw_path: bytes) -> Any:
    """Return a URL with another path and query; `raw_path` is quoted already."""
    cls: Any = type(url)
    return (
        _replace_path(url, raw_path)
        if _consists_of_parts(cls)
        else url.copy_with(raw_path=raw_path)
    )


def _replace_path(url: Any, raw_path: bytes) -> Any:
    # Private in httpx 0.27 to httpx2 2.16: scheme, userinfo, host, port, path, query, fragment.
    parts = url._uri_reference
    path, mark, query = raw_path.decode("ascii").partition("?")
    made: Any = object.__new__(type(url))
    # The named tuple's `_replace` takes five times as long.
    made._uri_reference = tuple.__new__(
        type(parts), (*parts[:4], path, query if mark else None, *parts[6:])
    )
    return made


@lru_cache(maxsize=4)
def _consists_of_parts(cls: Any) -> bool:
    """Return whether URLs of a class consist only of their parts."""
    try:
        for text, raw_path in (("https://u:p@h:1/a?b=c#d", b"/x%20y?z"), ("http://h/a", b"/x")):
            url = cls(text)
            fast, slow = _replace_path(url, raw_path), url.copy_with(raw_path=raw_path)
            if fast != slow or fast.__dict__ != slow.__dict__ or fast.raw_path != raw_path:
                return False
    except Exception:  # noqa: BLE001  # a class that consists of something else
        return False
    return True
