"""Endpoints that weren't there when they were asked: for a while they aren't asked again (docs/decisions.md#fallback)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from adapter._util.expiring_set import ExpiringSet

_MISSING = ExpiringSet()


def base_url_of(url: Any) -> tuple[str, str, int | None, bytes]:
    """Return what a base URL is told by: everything before the path of the call."""
    path: bytes = url.raw_path.partition(b"?")[0]
    return url.scheme, url.host, url.port, path.rpartition(b"/chat/completions")[0] or path


def remember(base: tuple[object, ...], seconds: float, model: str | None = None) -> None:
    """Note that a base URL has no Responses API, or none for a model, for some seconds."""
    _MISSING.add(base if model is None else (base, model), seconds)


def is_missing(url: Any) -> bool:
    """Tell whether a URL's base was found to have no Responses API."""
    return bool(_MISSING) and _MISSING.contains(base_url_of(url))


def missing_models_of(url: Any) -> Callable[[object], bool] | None:
    """Return what tells whether a model was found to be missing at a URL's base; None where none was, anywhere."""
    if not _MISSING:
        return None
    base = base_url_of(url)
    return lambda model: _MISSING.contains((base, model))


def clear() -> None:
    """Forget them all."""
    _MISSING.clear()
