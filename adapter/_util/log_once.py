"""Log lines that are written once in a process: what is wrong with every call is said of the first."""

from __future__ import annotations


class Once:
    """The kinds of lines that have been written, of which there are `most` at the most."""

    def __init__(self, limit: int | None = None) -> None:
        self._limit = limit
        self._seen: dict[object, object] = {}

    def first(self, kind: object) -> bool:
        """Tell whether this is the first line of its kind, in whatever thread. None is made of what a caller sent."""
        if kind in self._seen or (self._limit is not None and len(self._seen) >= self._limit):
            return False
        this = object()
        return self._seen.setdefault(kind, this) is this

    def reset(self) -> None:
        """Let everything be said again: other settings are in force."""
        self._seen = {}


ONCE = Once()
"""Of this process."""

HELD = Once(50)
"""What kept calls on Chat Completions that were to go to the Responses API: the reason, and the path."""
