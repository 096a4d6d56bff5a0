"""Endpoints that a server didn't have: they aren't used again for a while.

See docs/decisions.md#fallback.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from adapter._util.expiring_set import ExpiringSet

_MISSING = ExpiringSet()


def base_url_of(url: Any) -> tuple[str, str, int | None, bytes]:
    """Return what identifies a base URL: everything before the path of the call."""
    path: bytes = url.raw_path.partition(b"?")[0]
    return url.scheme, url.host, url.port, path.rpartition(b"/chat/completions")[0] or path


def remember(base: tuple[object, ...], seconds: float, model: str | None = None) -> None:
    """Remember for some seconds that a base URL has no Responses API, or none for a model."""
    _MISSING.add(base if model is None else (base, model), seconds)


def is_missing(url: Any) -> bool:
    """Return whether a URL's base was found to have no Responses API."""
    return bool(_MISSING) and _MISSING.contains(base_url_of(url))


def missing_models_of(url: Any) -> Callable[[object], bool] | None:
    """Return a predicate for models that a URL's base doesn't serve; None if none is known."""
    if not _MISSING:
        return None
    base = base_url_of(url)
    return lambda model: _MISSING.contains((base, model))


def clear() -> None:
    """Forget all missing endpoints."""
    _MISSING.clear()
