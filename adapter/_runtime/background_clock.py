"""The clock of calls that wait for a background run. Tests replace its functions."""

from __future__ import annotations

import time


def now() -> float:
    """Return monotonic seconds."""
    return time.monotonic()


def sleep(seconds: float) -> None:
    """Block for some seconds."""
    time.sleep(seconds)


async def async_sleep(seconds: float) -> None:
    """Sleep for some seconds, in any event loop that the SDK supports."""
    import anyio  # the SDK has imported it

    await anyio.sleep(seconds)
