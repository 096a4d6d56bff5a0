"""URLs with another path: parsing one costs more than translating a short request, and keeping them would keep keys in their queries."""

from __future__ import annotations

from functools import lru_cache
from typing import Any


def with_path(url: Any, raw_path: bytes) -> Any:
    """Return a URL with another path and query, which are quoted already."""
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
    # Past the named tuple's own `_replace`, which takes five times as long.
    made._uri_reference = tuple.__new__(
        type(parts), (*parts[:4], path, query if mark else None, *parts[6:])
    )
    return made


@lru_cache(maxsize=4)
def _consists_of_parts(cls: Any) -> bool:
    """Tell whether a URL of this class is its parts and nothing else."""
    try:
        for text, raw_path in (("https://u:p@h:1/a?b=c#d", b"/x%20y?z"), ("http://h/a", b"/x")):
            url = cls(text)
            fast, slow = _replace_path(url, raw_path), url.copy_with(raw_path=raw_path)
            if fast != slow or fast.__dict__ != slow.__dict__ or fast.raw_path != raw_path:
                return False
    except Exception:  # noqa: BLE001  # another library's
        return False
    return True
