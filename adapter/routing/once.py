"""Log lines that are written once in a process: what is wrong with every call is said of the first."""

from __future__ import annotations


class Once:
    """The kinds of lines that have been written."""

    def __init__(self) -> None:
        self._said: set[str] = set()

    def first(self, kind: str) -> bool:
        """Tell whether this is the first line of its kind. There are few kinds: none is made of what a caller sent."""
        new = kind not in self._said
        self._said.add(kind)
        return new

    def anew(self) -> None:
        """Let everything be said again: other settings are in force."""
        self._said = set()


ONCE = Once()
"""Of this process."""
