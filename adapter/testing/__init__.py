"""Help to test code that talks to either API: a pytest plugin that runs a suite on both sides, cassettes, HTTP mocks, streams cut anew.

The pytest plugin (`plugin.py`) is there by itself once the package is installed. Every other module is imported when it is
used, because each has its own optional dependencies; the extra `kit` installs all of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .chat_mock_transport import chat_mocks
    from .comparison import assert_same_turn

__all__ = ["assert_same_turn", "chat_mocks"]


if not TYPE_CHECKING:  # a checker would take every name for one that there is

    def __getattr__(name: str) -> Any:
        if name == "assert_same_turn":
            from .comparison import assert_same_turn as found
        elif name == "chat_mocks":
            from .chat_mock_transport import chat_mocks as found
        else:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return found
