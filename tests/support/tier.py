"""Which tests are made: all of them, or with `--quick` those of the first tier (`make test`).

Parameters that are left out are never made: making and deselecting a test costs most of the time of
a short one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

T = TypeVar("T")

QUICK = False  # set by tests/conftest.py before it imports any test

# The two ways in that share least code.
_TWO = {("client", False), ("transport", True)}


def pick(every: T, quick: T) -> T:
    """Return everything, or with `--quick` its part."""
    return quick if QUICK else every


def two(ways: Sequence[Any]) -> list[Any]:
    """Return all ways in, or with `--quick` two: the client, sync, and the transport, async."""
    library = getattr(ways[0], "library", None)
    few = [
        way
        for way in ways
        if (way.kind, way.asynchronous) in _TWO and getattr(way, "library", None) == library
    ]
    return pick(list(ways), few)
