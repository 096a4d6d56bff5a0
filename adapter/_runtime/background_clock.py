"""The clock of calls that wait for a run in the background; a test may put its own in place."""

from __future__ import annotations

import time


def now() -> float:
    """Return seconds, from some moment on."""
    return time.monotonic()


def sleep(seconds: float) -> None:
    """Wait."""
    time.sleep(seconds)


async def async_sleep(seconds: float) -> None:
    """Wait, in any event loop that the SDK runs in."""
    import anyio  # the SDK has imported it

    await anyio.sleep(seconds)
