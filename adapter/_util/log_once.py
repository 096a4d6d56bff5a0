"""Log lines that are written once in a process: what is wrong with every call is said of the first."""

from __future__ import annotations


class Once:
    """The kinds of lines that have been written, of which there are `most` at the most."""

    def __init__(self, most: int | None = None) -> None:
        self._most = most
        self._said: dict[object, object] = {}

    def first(self, kind: object) -> bool:
        """Tell whether this is the first line of its kind, in whatever thread. None is made of what a caller sent."""
        if kind in self._said or (self._most is not None and len(self._said) >= self._most):
            return False
        this = object()
        return self._said.setdefault(kind, this) is this

    def anew(self) -> None:
        """Let everything be said again: other settings are in force."""
        self._said = {}


ONCE = Once()
"""Of this process."""

HELD = Once(50)
"""What kept calls on Chat Completions that were to go to the Responses API: the reason, and the path."""
