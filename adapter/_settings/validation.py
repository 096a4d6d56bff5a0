"""Validation of names in settings and `use(...)`.

A wrong name is an error where it is written, since it would have no effect.
"""

from __future__ import annotations

from difflib import get_close_matches

from adapter.translation.parameters import CHAT_PARAMETERS, UNSUPPORTED_MESSAGE_FIELDS, Emulated

__all__ = ["Emulated", "check_parameter"]


def check_parameter(name: str) -> None:
    """Raise ValueError, with the nearest name, unless Chat Completions has the parameter."""
    known = CHAT_PARAMETERS.keys() | UNSUPPORTED_MESSAGE_FIELDS
    if name not in known:
        near = get_close_matches(str(name), known, n=1)
        raise ValueError(
            f"{name!r} is not a parameter of Chat Completions" + (f"; {near[0]!r}?" if near else "")
        )
