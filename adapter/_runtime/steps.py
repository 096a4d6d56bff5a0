"""Steps: what the runtime does between the effects of an exchange, for sync and async code."""

from __future__ import annotations

from enum import Enum


class Step(Enum):
    """A step that a generator of the runtime yields, and a performer performs."""

    CLOSE = "close"  # upstream's reply
    DRAIN = "drain"  # read upstream's reply to its end; the result is its error, if any
    CANCEL_RUN = "cancel run"  # the background run of a caller that has left
    NEXT_ITEM = "next item"  # of a fan-out's branches
    CANCEL_BRANCHES = "cancel branches"  # of a fan-out whose result is known
