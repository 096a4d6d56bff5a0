"""What a process holds and warns about while thousands of streams are read."""

from __future__ import annotations

import contextlib
import gc
import logging
import os
import statistics
import sys
import threading
import warnings
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.upstream import Upstream


@dataclass(slots=True)
class Held:
    """What the process holds."""

    files: int
    threads: int
    blocks: int
    resident: int

    @classmethod
    def now(cls) -> Held:
        """Return the current state, after a garbage collection."""
        gc.collect()
        resident = int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        return cls(
            len(list(Path("/proc/self/fd").iterdir())),
            threading.active_count(),
            sys.getallocatedblocks(),
            resident,
        )


@dataclass
class Ledger:
    """Results of the streams, warnings, and what was held after each round.

    A round is `per_round` streams; the number of tasks that were left is counted too.
    """

    per_round: int = 1
    ends: Counter[str] = field(default_factory=Counter)
    complaints: list[str] = field(default_factory=list)
    rounds: list[Held] = field(default_factory=list)
    tasks: int = 0

    def growth(self) -> float:
        """Return the allocated blocks that a round adds.

        It compares the second half of the rounds with the first.
        """
        blocks = [held.blocks for held in self.rounds]
        half = len(blocks) // 2
        return (statistics.median(blocks[half:]) - statistics.median(blocks[:half])) / half

    def flat(self) -> bool:
        """Return whether memory stays constant.

        A single object left behind by each stream would be a block or more.
        """
        return self.growth() < 0.5 * self.per_round + 20  # the ledger's own entries take some, too


class _Collecting(logging.Handler):
    def __init__(self, ledger: Ledger) -> None:
        super().__init__(logging.WARNING)
        self._ledger = ledger

    def emit(self, record: logging.LogRecord) -> None:
        self._ledger.complaints.append(record.getMessage())


@contextlib.contextmanager
def listening(ledger: Ledger) -> Iterator[None]:
    """Collect warnings, log lines, and unraisable exceptions."""
    handler = _Collecting(ledger)
    unraisable, logger = sys.unraisablehook, logging.getLogger()
    sys.unraisablehook = lambda given: ledger.complaints.append(f"unraisable: {given.exc_value!r}")
    logger.addHandler(handler)
    gc.collect()
    gc.freeze()  # earlier objects aren't scanned again
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            yield
            gc.collect()
        ledger.complaints += [f"{one.category.__name__}: {one.message}" for one in caught]
    finally:
        gc.unfreeze()
        sys.unraisablehook = unraisable
        logger.removeHandler(handler)


def settled(upstream: Upstream, expected: int) -> int:
    """Wait, with a limit, until upstream has seen every disconnect; return its open connections."""
    for _ in range(200):
        if upstream.stats()["open"] <= expected:
            break
        threading.Event().wait(0.05)
    return upstream.stats()["open"]


def figures(
    name: str,
    ledger: Ledger,
    seconds: float,
    upstream: Upstream,
    *,
    kept: int,
    held: tuple[Held, Held],
) -> str:
    """Return a summary of what happened and what is left.

    `kept` is the number of connections in the pool after the last round, `held` the state before
    and after all of it.
    """
    before, after = held
    first, last = ledger.rounds[0], ledger.rounds[-1]
    ends = ", ".join(f"{count:,} {end}" for end, count in sorted(ledger.ends.items()))
    return (
        f"\n{name}: {ledger.ends.total():,} streams in {seconds:.1f} s: {ends}\n"
        f"  connections: {upstream.stats()['peak']} at the peak, {kept} idle ones kept by the pool, {settled(upstream, 0)} "
        f"open once the client is closed\n"
        f"  before → after: file descriptors {before.files} → {after.files}, threads {before.threads} → {after.threads}\n"
        f"  warnings, log lines, lost exceptions: {len(ledger.complaints)}; tasks left: {ledger.tasks}\n"
        f"  memory after a tenth → after all: {first.resident / 1e6:.1f} → {last.resident / 1e6:.1f} MB; blocks after each tenth, "
        f"in thousands: {' '.join(f'{held.blocks / 1000:.1f}' for held in ledger.rounds)} ({ledger.growth():+.0f} a tenth)"
    )
