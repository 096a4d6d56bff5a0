"""Help to test code that talks to either API: a pytest plugin that runs a suite on both sides, cassettes, streams cut anew, a comparison.

The pytest plugin (`plugin.py`) is there by itself once the package is installed. Every other module is imported when it is
used, because each has its own optional dependencies; the extra `kit` installs all of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .same_turn import assert_same_turn

__all__ = ["assert_same_turn"]


if not TYPE_CHECKING:  # a checker would take every name for one that there is

    def __getattr__(name: str) -> Any:
        if name != "assert_same_turn":
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from .same_turn import assert_same_turn

        return assert_same_turn
