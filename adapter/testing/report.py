"""What became of the calls of each test: which side was asked for, which one answered, and what was lost on the way."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from threading import RLock
from typing import Any

from .backends import SelectedBackend, without_backend

Call = dict[str, Any]
"""Calls of one kind: `asked`, `backend`, `reason`, `model`, `stream`, `held`, `losses` ([path, action]), `status`, `error`, and
`calls`, how many."""

OUTCOMES = ("passed", "failed", "skipped")
VERSION = 1
EVENT_LOOP = "event_loop"
"""The kind of a failure by which a test shares a client with another event loop's; see failures."""

_KIND = ("asked", "backend", "reason", "model", "stream", "held", "losses", "status", "error")


class CallWatcher:
    """Collect the records of the calls that end while a test runs; those that end elsewhere (in tests without a side, between tests) are `outside`."""

    def __init__(self) -> None:
        self._kinds: Counter[tuple[Any, ...]] | None = None
        self._lock = RLock()  # a finalizer may bring a record in the midst of it
        self.outside = 0
        self.total = 0
        self.backend: SelectedBackend | None = None

    def __call__(self, record: Any) -> None:
        """Take a record (an adapter.Record), from any thread."""
        kind = tuple(getattr(record, name) for name in _KIND)
        with self._lock:
            self.total += 1
            if self._kinds is None:
                self.outside += 1
            else:
                self._kinds[kind] += 1

    @contextmanager
    def test(self, side: SelectedBackend) -> Iterator[None]:
        """Collect for one test, on its side."""
        self._kinds, self.backend = Counter(), side
        try:
            yield
        finally:
            self._kinds = self.backend = None

    def calls(self) -> list[Call]:
        """Give the running test's calls so far, as JSON."""
        with self._lock:
            kinds = list((self._kinds or Counter()).items())
        return [
            json.loads(json.dumps(dict(zip(_KIND, kind, strict=True)))) | {"calls": count}
            for kind, count in kinds
        ]


def fallbacks(calls: Iterable[Call]) -> list[str]:
    """Say of each kind of call that was asked for responses and answered by chat why it was: `unsupported (seed)`."""
    return [
        call["reason"] + (f" ({', '.join(call['held'])})" if call["held"] else "")
        for call in calls
        if call["asked"] == "responses" and call["backend"] == "chat"
    ]


class Report:
    """Put together, in the process that reports, what the tests were and did."""

    def __init__(self) -> None:
        self.tests: dict[str, dict[str, Any]] = {}
        self.outside = 0

    def add(self, report: Any) -> None:
        """Take a phase's report: its outcome and, with the last one, side and calls."""
        data: Mapping[str, Any] | None = getattr(report, "adapter", None)
        if data is None:
            return
        test = self.tests.setdefault(
            report.nodeid,
            {
                "test": report.nodeid,
                "side": data["side"],
                "alone": data["alone"],
                "outcome": "passed",
                "calls": [],
            },
        )
        if report.outcome != "passed" and test["outcome"] != "failed":
            test["outcome"] = report.outcome
        test["calls"] = data["calls"]
        for name in ("made_elsewhere", "failure"):
            if data[name]:
                test[name] = data[name]

    def document(self) -> dict[str, Any]:
        """Give all of it as JSON: names, paths and numbers, no contents."""
        return {
            "version": VERSION,
            "sides": {side: self.counts_for(side) for side in ("chat", "responses")},
            "one_side_only": self.one_side_only(),
            "event_loops": self.event_loops(),
            "calls_elsewhere": self.outside,
            "tests": list(self.tests.values()),
        }

    def counts_for(self, side: str) -> dict[str, int]:
        """Count a side's tests by outcome, and its calls by the backend that answered."""
        tests = [test for test in self.tests.values() if test["side"] == side]
        outcomes = Counter(test["outcome"] for test in tests)
        backends: Counter[str] = Counter()
        for call in self._calls(tests):
            backends[call["backend"]] += call["calls"]
        return {
            **{outcome: outcomes[outcome] for outcome in OUTCOMES},
            "calls": backends.total(),
            "on_chat": backends["chat"],
            "on_responses": backends["responses"],
        }

    def one_side_only(self) -> list[str]:
        """List the tests that failed on one side and passed on the other, but for failures that say nothing about a side."""
        outcomes: dict[str, dict[str, str]] = {}
        for test in self.tests.values():
            if "failure" in test:
                continue
            outcomes.setdefault(without_backend(test["test"]), {})[test["side"]] = test["outcome"]
        return [
            f"{test}, on {next(side for side, outcome in sides.items() if outcome == 'failed')}"
            for test, sides in outcomes.items()
            if sorted(sides.values()) == ["failed", "passed"]
        ]

    def event_loops(self) -> list[str]:
        """List the tests that failed since they share a client with another event loop's."""
        return [test["test"] for test in self.tests.values() if test.get("failure") == EVENT_LOOP]

    def without_calls(self) -> list[str]:
        """List the tests that passed and made no call that the adapter saw."""
        return [
            test["test"]
            for test in self.tests.values()
            if not test["calls"] and test["outcome"] == "passed"
        ]

    def fallbacks(self) -> list[tuple[str, str]]:
        """List the tests with a call that was asked for responses and answered by chat, each with why."""
        return [
            (test["test"], why)
            for test in self.tests.values()
            for why in dict.fromkeys(fallbacks(test["calls"]))
        ]

    def made_elsewhere(self) -> list[str]:
        """List the tests that used answers of the other side, with the fixtures that hold them."""
        return [
            f"{test['test']}: {', '.join(test.get('made_elsewhere', ()))}"
            for test in self.tests.values()
            if "made_elsewhere" in test
        ]

    def losses(self) -> Counter[str]:
        """Count what was lost or changed, but for what held calls on chat."""
        counted: Counter[str] = Counter()
        for call in self._calls(self.tests.values()):
            for path, action in call["losses"]:
                if action != "held":
                    counted[f"{path} {action}"] += call["calls"]
        return counted

    @staticmethod
    def _calls(tests: Iterable[Mapping[str, Any]]) -> Iterator[Call]:
        for test in tests:
            yield from test["calls"]

    def write(self, path: Path) -> None:
        """Write the JSON document."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(
            json.dumps(self.document(), indent=2, ensure_ascii=False) + "\n",
            encoding="utf-8",
            newline="\n",
        )

    def lines(self) -> Iterator[str]:
        """Give the report for people."""
        from adapter.telemetry.counters import aligned

        rows: list[tuple[str, ...]] = [("asked for", *OUTCOMES, "calls", "on chat", "on responses")]
        for side in ("chat", "responses"):
            counts = self.counts_for(side)
            if any(counts.values()):
                rows.append((side, *(str(count) for count in counts.values())))
        yield from aligned(rows).split("\n")
        for title, found in (
            ("failed on one side only:", self.one_side_only()),
            (
                "failed by sharing a client between event loops, as they would twice on one side:",
                self.event_loops(),
            ),
            (
                "asked for responses, answered by chat:",
                [f"{test}: {why}" for test, why in self.fallbacks()],
            ),
            (f"{MADE_ELSEWHERE}:", self.made_elsewhere()),
            (
                "run on chat alone, since unittest's tests and doctests can't be doubled (use --adapter-backend=responses):",
                [test["test"] for test in self.tests.values() if test["alone"]],
            ),
            (
                "lost or changed on the way:",
                [f"{what}, {count}×" for what, count in self.losses().most_common()],
            ),
            (
                "no call seen by the adapter (is the client its own, or installed?):",
                self.without_calls(),
            ),
        ):
            if found:
                yield title
                yield from (f"  {line}" for line in found[:_MAX_LINES])
                if len(found) > _MAX_LINES:
                    yield f"  and {len(found) - _MAX_LINES} more: --adapter-report=FILE lists all"


_MAX_LINES = 20
MADE_ELSEWHERE = "used a fixture of a wider scope that made its calls elsewhere"


def report_data(
    side: SelectedBackend,
    watcher: CallWatcher,
    *,
    alone: bool,
    made_elsewhere: list[str],
    failure: str | None,
) -> dict[str, Any]:
    """Give what a test's report carries: from a worker of pytest-xdist it goes up to the process that reports."""
    data = {"side": str(side), "alone": alone, "calls": watcher.calls()}
    return {**data, "made_elsewhere": made_elsewhere, "failure": failure}
