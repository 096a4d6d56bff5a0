"""Forked processes: what a child must reset, since it has none of its parent's other threads."""

from __future__ import annotations

import os
from collections.abc import Callable


def in_forked_child(reset: Callable[[], object]) -> Callable[[], object]:
    """Call `reset` in every child of a fork, and return it; usable as a decorator.

    Where the platform can't fork, nothing is registered.
    """
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=reset)
    return reset
