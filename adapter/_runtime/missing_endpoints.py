"""Servers that were found to have no Responses API, or none for a model, remembered for a while.

See docs/decisions.md#fallback.
"""

from __future__ import annotations

from collections.abc import Callable

from adapter._util.expiring_set import ExpiringSet

from .protocols import BaseUrl

_MISSING = ExpiringSet()


def remember(base_url: BaseUrl, seconds: float, model: str | None = None) -> None:
    """Remember for some seconds that a base URL has no Responses API, or none for a model."""
    _MISSING.add(base_url if model is None else (base_url, model), seconds)


def any_known() -> bool:
    """Return whether anything is remembered."""
    return bool(_MISSING)


def is_missing(base_url: BaseUrl) -> bool:
    """Return whether a base URL was found to have no Responses API."""
    return _MISSING.contains(base_url)


def missing_models_of(base_url: BaseUrl) -> Callable[[object], bool]:
    """Return a predicate for models that a base URL doesn't serve."""
    return lambda model: _MISSING.contains((base_url, model))


def clear() -> None:
    """Forget all missing endpoints."""
    _MISSING.clear()
