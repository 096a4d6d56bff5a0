"""Which backend gets a call: header over `use()` over settings (DESIGN §4)."""

from __future__ import annotations

from typing import get_args

from adapter.errors import TranslationError
from adapter.journal import Backend, Choice

from .overrides import Overrides
from .settings import Settings

HEADER = "x-adapter-backend"
"""The request header that chooses the backend of one call; it is never sent on."""


def decide(settings: Settings, overrides: Overrides, header: str | None) -> Choice:
    """Choose for one call; raises TranslationError for a header with another value."""
    backend, reason = settings.backend, "settings"
    if overrides.backend is not None:
        backend, reason = overrides.backend, "use"
    if header is not None:
        if header not in get_args(Backend):
            raise TranslationError(f"headers.{HEADER}", "expected chat or responses")
        backend, reason = header, "header"  # type: ignore[assignment]  # checked above
    if overrides.unsupported is None and not overrides.drop:
        policy = settings.policy
    else:
        policy = settings.policy_with(unsupported=overrides.unsupported, drop=overrides.drop)
    return Choice(backend, reason, policy, settings.on_bug, settings.hash)
