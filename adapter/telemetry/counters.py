"""Counters over records: calls, reasons, losses, outcomes, tokens and latencies."""

from __future__ import annotations

import logging
import weakref
from bisect import bisect_left
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate
from threading import RLock
from typing import Any

from adapter._util.fork import in_forked_child
from adapter._util.safe_names import OTHER

from .record import Record

logger = logging.getLogger("adapter")


BUCKETS: tuple[float, ...] = tuple(0.01 * (1 << k) for k in range(17))
"""Upper bounds in seconds: those of OpenTelemetry's `gen_ai.client.operation.duration`, continued
to 655 s, beyond the SDK's timeout."""

_QUANTILES = (("p50", 0.5), ("p90", 0.9), ("p99", 0.99))


class Histogram:
    """A histogram of seconds with fixed buckets, as in Prometheus: `count`, `sum`, and `counts`."""

    __slots__ = ("count", "counts", "sum")

    def __init__(self) -> None:
        self.count = 0
        self.sum = 0.0
        self.counts = [0] * (len(BUCKETS) + 1)

    def add(self, seconds: float) -> None:
        """Add one value."""
        self.count += 1
        self.sum += seconds
        self.counts[bisect_left(BUCKETS, seconds)] += 1

    def quantile(self, q: float) -> float | None:
        """Estimate a quantile as `histogram_quantile` does: linear within a bucket.

        The estimate lies in the bucket of the true value, so it is between half and twice that;
        beyond the last bound it is that bound.
        """
        if not self.count:
            return None
        rank, below = q * self.count, 0
        for k, inside in enumerate(self.counts[:-1]):
            if inside and below + inside >= rank:
                low = BUCKETS[k - 1] if k else 0.0
                return low + (BUCKETS[k] - low) * (rank - below) / inside
            below += inside
        return BUCKETS[-1]

    def snapshot(self) -> dict[str, Any]:
        """Return the figures as JSON; the buckets are cumulative."""
        bounds = [*(f"{bound:g}" for bound in BUCKETS), "+Inf"]
        return {
            "count": self.count,
            "sum": self.sum,
            "buckets": dict(zip(bounds, accumulate(self.counts), strict=True)),
            **{name: self.quantile(q) for name, q in _QUANTILES},
        }


_TOKENS = ("prompt", "completion", "reasoning", "cached")


_COUNTERS: weakref.WeakSet[Counters] = weakref.WeakSet()


class Counters:
    """Count records: an observer for the settings, with figures to print (`str`) or to export.

    Each table keeps `limit` keys; any more are counted as "other". Safe to call from any thread.
    """

    def __init__(self, *, limit: int = 200) -> None:
        self._limit = limit
        # Records are queued first and counted by the thread that gets the lock: no thread blocks,
        # and no record is counted twice, even if a finalizer interrupts this thread.
        self._queue: deque[Record] = deque()
        self._lock = RLock()
        self._counting = False
        self._clear()
        _COUNTERS.add(self)

    def __call__(self, record: Record) -> None:
        """Count a record."""
        self._queue.append(record)
        if self._lock.acquire(blocking=False):
            try:
                self._count_all()
            finally:
                self._lock.release()

    def reset(self) -> None:
        """Set all figures to zero."""
        with self._lock:
            self._queue.clear()
            self._clear()

    def snapshot(self) -> dict[str, Any]:
        """Return all figures as JSON.

        `calls` is their number. `routes` (asked -> actual backend), `reasons`, `held` (paths that
        kept calls on Chat), `losses` (path and action) and `outcomes` (status and error) are tables
        of counts. `tokens` are sums per backend. `latency_seconds` and `first_token_seconds` are
        histograms per backend: `count`, `sum`, cumulative `buckets` by upper bound, and `p50`,
        `p90`, `p99`. Those are estimates from the buckets, which may be wrong by a factor of two
        (each bucket is twice as wide as the one before); beyond the last bound they are that bound,
        655.36.
        """
        with self._lock:
            self._count_all()
            return {
                "calls": self._calls,
                **{name: dict(table) for name, table in self._tables.items()},
                "tokens": {backend: dict(sums) for backend, sums in self._tokens.items()},
                "latency_seconds": {
                    backend: one.snapshot() for backend, one in self._latency.items()
                },
                "first_token_seconds": {
                    backend: one.snapshot() for backend, one in self._first_token.items()
                },
            }

    def __str__(self) -> str:
        return "\n\n".join(aligned(rows) for rows in _as_tables(self.snapshot()))

    def _clear(self) -> None:
        self._calls = 0
        self._tables: dict[str, dict[str, int]] = {
            name: {} for name in ("routes", "reasons", "held", "losses", "outcomes")
        }
        self._tokens: dict[str, dict[str, int]] = {}
        self._latency: dict[str, Histogram] = {}
        self._first_token: dict[str, Histogram] = {}

    def _count_all(self) -> None:
        if self._counting:  # this thread was interrupted while counting, and continues afterwards
            return
        self._counting = True
        try:
            while self._queue:
                self._count(self._queue.popleft())
        finally:
            self._counting = False

    def _count(self, record: Record) -> None:
        self._calls += 1
        self._add("routes", f"{record.asked}->{record.backend}")
        self._add("reasons", record.reason)
        for path in record.held:
            self._add("held", path)
        for path, action in record.losses:
            self._add("losses", f"{path} {action}")
        outcome = [str(part) for part in (record.status, record.error) if part is not None]
        self._add("outcomes", " ".join(outcome) or "no reply")
        sums = self._tokens.setdefault(record.backend, dict.fromkeys(_TOKENS, 0))
        for name in _TOKENS:
            sums[name] += getattr(record, f"{name}_tokens") or 0
        self._latency.setdefault(record.backend, Histogram()).add(record.latency)
        if record.first_token is not None:
            self._first_token.setdefault(record.backend, Histogram()).add(record.first_token)

    def _add(self, name: str, key: str) -> None:
        table = self._tables[name]
        if key not in table and len(table) >= self._limit:
            key = OTHER
        table[key] = table.get(key, 0) + 1


def _as_tables(figures: Mapping[str, Any]) -> Iterable[list[list[str]]]:
    """Yield a snapshot as tables of text, the most frequent first, without empty tables."""
    yield [["calls", str(figures["calls"])]]
    for name, title in (
        ("routes", "asked->backend"),
        ("reasons", "reason"),
        ("held", "kept on Chat by"),
        ("losses", "loss"),
        ("outcomes", "status, error"),
    ):
        rows = sorted(figures[name].items(), key=lambda row: (row[0] == OTHER, -row[1], row[0]))
        if rows:
            yield [[title, "calls"], *([key, str(count)] for key, count in rows)]
    if figures["tokens"]:
        rows = sorted(figures["tokens"].items())
        yield [
            ["tokens", *_TOKENS],
            *([backend, *(str(sums[one]) for one in _TOKENS)] for backend, sums in rows),
        ]
    for name, title in (
        ("latency_seconds", "latency, s"),
        ("first_token_seconds", "first token, s"),
    ):
        if figures[name]:
            rows = sorted(figures[name].items())
            yield [
                [title, "calls", "mean", *(f"~{q}" for q, _ in _QUANTILES)],
                *([key, *_timing_cells(one)] for key, one in rows),
            ]


def _timing_cells(figures: Mapping[str, Any]) -> list[str]:
    seconds = [figures["sum"] / figures["count"], *(figures[q] for q, _ in _QUANTILES)]
    return [str(figures["count"]), *(f"{value:.3f}" for value in seconds)]


def aligned(rows: Sequence[Sequence[str]]) -> str:
    """Format a table with aligned columns: the first to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for name, *cells in rows:
        right = [cell.rjust(width) for cell, width in zip(cells, widths[1:], strict=True)]
        lines.append("  ".join([name.ljust(widths[0]), *right]))
    return "\n".join(lines)


@in_forked_child  # the lock may be held by a thread that doesn't exist in the child
def _renew_locks() -> None:
    for one in list(_COUNTERS):
        one._lock, one._counting = RLock(), False
