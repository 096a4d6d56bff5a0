"""Reset state in a forked process, which has none of its parent's other threads.

See docs/decisions.md#forks.
"""

from __future__ import annotations

import os
from collections.abc import Callable


def in_forked_child(reset: Callable[[], object]) -> Callable[[], object]:
    """Register `reset` to be called in every forked child, and return it; usable as a decorator.

    Does nothing on platforms without fork.
    """
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=reset)
    return reset
