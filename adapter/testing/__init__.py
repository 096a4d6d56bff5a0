"""Test code that calls either API: a pytest plugin, cassettes, HTTP mocks, split streams.

pytest loads the plugin (`plugin.py`) once the package is installed. Every other module is imported
on first use, since each has its own optional dependencies; the extra `testing` installs all of them
(docs/guides/test-both-sides.md).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .chat_mock_performer import chat_mocks
    from .comparison import assert_same_turn

__all__ = ["assert_same_turn", "chat_mocks"]


if not TYPE_CHECKING:  # a checker would take every name for one that there is

    def __getattr__(name: str) -> Any:
        if name == "assert_same_turn":
            from .comparison import assert_same_turn as found
        elif name == "chat_mocks":
            from .chat_mock_performer import chat_mocks as found
        else:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return found
