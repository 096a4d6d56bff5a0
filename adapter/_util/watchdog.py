"""Bound blocking work that runs in its caller's own thread.

A socket's timeout bounds each read, not their sum: a server that sends a byte at a time never
exceeds it. So one thread watches all such work, and interrupts what is late.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress

_LINGER = 5.0  # seconds for which the thread waits for more work


class Watchdog:
    """Interrupt work that takes longer than `seconds`.

    The thread sleeps until the first deadline. It isn't woken by work that begins later, whose
    deadline is later as well. After a fork a new watchdog is needed.
    """

    def __init__(self, seconds: float, name: str) -> None:
        self._seconds, self._name = seconds, name
        self._lock = threading.Lock()
        self._deadlines: dict[Callable[[], object], float] = {}
        self._watching = False

    def start(self, interrupt: Callable[[], object]) -> None:
        """Call `interrupt` in another thread when the time is up, unless `stop` is called first.

        Raises RuntimeError if the system has no more threads.
        """
        with self._lock:
            self._deadlines[interrupt] = time.monotonic() + self._seconds
            if self._watching:
                return
            self._watching = True
        try:
            threading.Thread(target=self._watch, name=self._name, daemon=True).start()
        except BaseException:
            with self._lock:
                self._watching = False
                self._deadlines.pop(interrupt, None)
            raise

    def stop(self, interrupt: Callable[[], object]) -> bool:
        """End the watch over the work; return whether it was in time."""
        with self._lock:
            return self._deadlines.pop(interrupt, None) is not None

    def _watch(self) -> None:
        last_work = time.monotonic()
        while True:
            with self._lock:
                now = time.monotonic()
                if self._deadlines:
                    last_work = now
                elif now - last_work > _LINGER:
                    self._watching = False
                    return
                late = [one for one, deadline in self._deadlines.items() if deadline <= now]
                for one in late:
                    del self._deadlines[one]
                wake = min(self._deadlines.values(), default=now + self._seconds)
            for one in late:
                with suppress(Exception):
                    one()
            time.sleep(max(wake - now, 0.0))
