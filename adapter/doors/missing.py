"""Endpoints that weren't there when they were asked: for a while they aren't asked again (DESIGN §4, `fallback`)."""

from __future__ import annotations

import threading
import time
from typing import Any

_MOST = 1000

_until: dict[object, float] = {}
_lock = threading.Lock()


def base_of(url: Any) -> object:
    """Return what a base URL is told by: everything before the path of the call."""
    path: bytes = url.raw_path.partition(b"?")[0]
    return url.scheme, url.host, url.port, path.rpartition(b"/chat/completions")[0] or path


def remember(base: object, seconds: float) -> None:
    """Note that a base URL has no Responses API, for some seconds."""
    with _lock:
        while len(_until) >= _MOST:
            del _until[next(iter(_until))]
        _until[base] = time.monotonic() + seconds


def is_missing(base: object) -> bool:
    """Tell whether a base URL was found to have no Responses API."""
    if not _until:
        return False
    until = _until.get(base)
    return until is not None and time.monotonic() < until


def forget() -> None:
    """Forget them all."""
    with _lock:
        _until.clear()
