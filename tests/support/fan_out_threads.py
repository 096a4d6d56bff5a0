"""The threads that the adapter sends several requests with, and waiting for them to end."""

from __future__ import annotations

import threading
import time


def busy() -> list[threading.Thread]:
    """Return the threads that still run one of several requests."""
    return [thread for thread in threading.enumerate() if thread.name == "adapter-n"]


def quiet(seconds: float = 5.0) -> bool:
    """Wait until no such thread is left."""
    end = time.monotonic() + seconds
    for thread in busy():
        thread.join(max(0.0, end - time.monotonic()))
    return not busy()
