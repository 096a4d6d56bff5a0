"""Which tests are made: all of them, or with `--quick` those of the first tier, which `make test` runs.

Parameters that are left out are never made: to make a test and deselect it costs most of what a short one costs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

T = TypeVar("T")

QUICK = False  # set by tests/conftest.py before it imports any test

# Of the ways in the two that share least.
_TWO = {("client", False), ("transport", True)}


def pick(every: T, quick: T) -> T:
    """Give everything, or with `--quick` its part."""
    return quick if QUICK else every


def two(ways: Sequence[Any]) -> list[Any]:
    """Give all ways in, or with `--quick` two of them: the client, sync, and the transport, async."""
    library = getattr(ways[0], "library", None)
    few = [
        way
        for way in ways
        if (way.kind, way.asynchronous) in _TWO and getattr(way, "library", None) == library
    ]
    return pick(list(ways), few)
