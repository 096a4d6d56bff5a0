"""Log lines that are written once per process: a problem of every call is logged for the first."""

from __future__ import annotations


class Once:
    """The kinds of lines that have been written; after `limit` kinds no more are."""

    def __init__(self, limit: int | None = None) -> None:
        self._limit = limit
        self._seen: dict[object, object] = {}

    def first(self, kind: object) -> bool:
        """Return whether this is the first line of its kind, in any thread."""
        if kind in self._seen or (self._limit is not None and len(self._seen) >= self._limit):
            return False
        marker = object()
        return self._seen.setdefault(kind, marker) is marker

    def reset(self) -> None:
        """Allow every line again, since the settings have changed."""
        self._seen = {}


ONCE = Once()
"""The lines of this process."""

HELD = Once(50)
"""The holds of this process: reason and path of what kept calls on Chat."""
