"""Report the calls of each test: the requested backend, the one that answered, and the losses."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from threading import RLock
from typing import Any

from .backends import BACKENDS, SelectedBackend, without_backend

Call = dict[str, Any]
"""Calls of one kind: `asked`, `backend`, `reason`, `model`, `stream`, `held`, `losses` as pairs
[path, action], `status`, `error`, and their number `calls`."""

OUTCOMES = ("passed", "failed", "skipped")
VERSION = 1
EVENT_LOOP = "event_loop"
"""The kind of a failure caused by a client of another event loop; see `event_loop_failures`."""

_KIND = ("asked", "backend", "reason", "model", "stream", "held", "losses", "status", "error")


class CallWatcher:
    """Collect the records of the calls that end while a test runs.

    `outside` counts the others: between tests, or in tests that don't take part.
    """

    def __init__(self) -> None:
        self._kinds: Counter[tuple[Any, ...]] | None = None
        self._lock = RLock()  # a finalizer may add a record while the lock is held
        self.outside = 0
        self.total = 0
        self.backend: SelectedBackend | None = None

    def __call__(self, record: Any) -> None:
        """Count an `adapter.Record`, from any thread."""
        kind = tuple(getattr(record, name) for name in _KIND)
        with self._lock:
            self.total += 1
            if self._kinds is None:
                self.outside += 1
            else:
                self._kinds[kind] += 1

    @contextmanager
    def test(self, backend_name: SelectedBackend) -> Iterator[None]:
        """Collect the calls of one test, on its backend."""
        self._kinds, self.backend = Counter(), backend_name
        try:
            yield
        finally:
            self._kinds = self.backend = None

    def calls(self) -> list[Call]:
        """Return the running test's calls so far, as JSON."""
        with self._lock:
            kinds = list((self._kinds or Counter()).items())
        return [
            json.loads(json.dumps(dict(zip(_KIND, kind, strict=True)))) | {"calls": count}
            for kind, count in kinds
        ]


def fallbacks(calls: Iterable[Call]) -> list[str]:
    """Return the reasons of calls that requested responses and were answered by chat.

    For example `unsupported (seed)`.
    """
    return [
        call["reason"] + (f" ({', '.join(call['held'])})" if call["held"] else "")
        for call in calls
        if call["asked"] == "responses" and call["backend"] == "chat"
    ]


class Report:
    """The tests and their calls, collected in the main process."""

    def __init__(self) -> None:
        self.tests: dict[str, dict[str, Any]] = {}
        self.outside = 0

    def add(self, report: Any) -> None:
        """Add the report of one phase: its outcome, backend and calls so far."""
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
        """Return the report as JSON: names, paths and numbers, no contents."""
        return {
            "version": VERSION,
            "sides": {name: self.counts_for(name) for name in BACKENDS},
            "one_side_only": self.one_side_only(),
            "event_loops": self.event_loops(),
            "calls_elsewhere": self.outside,
            "tests": list(self.tests.values()),
        }

    def counts_for(self, backend_name: str) -> dict[str, int]:
        """Count a backend's tests by outcome, and their calls by the backend that answered."""
        tests = [test for test in self.tests.values() if test["side"] == backend_name]
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
        """List the tests that failed on one backend and passed on the other.

        Failures of event loops don't count.
        """
        outcomes: dict[str, dict[str, str]] = {}
        for test in self.tests.values():
            if "failure" in test:
                continue
            outcomes.setdefault(without_backend(test["test"]), {})[test["side"]] = test["outcome"]
        return [
            f"{test}, on {next(name for name, outcome in runs.items() if outcome == 'failed')}"
            for test, runs in outcomes.items()
            if sorted(runs.values()) == ["failed", "passed"]
        ]

    def event_loops(self) -> list[str]:
        """List the tests that failed because they share a client between event loops."""
        return [test["test"] for test in self.tests.values() if test.get("failure") == EVENT_LOOP]

    def without_calls(self) -> list[str]:
        """List the tests that passed without a call that the adapter saw."""
        return [
            test["test"]
            for test in self.tests.values()
            if not test["calls"] and test["outcome"] == "passed"
        ]

    def fallbacks(self) -> list[tuple[str, str]]:
        """List the tests with a call that fell back to Chat, with the reasons."""
        return [
            (test["test"], why)
            for test in self.tests.values()
            for why in dict.fromkeys(fallbacks(test["calls"]))
        ]

    def made_elsewhere(self) -> list[str]:
        """List the tests that used replies of the other backend, with their fixtures."""
        return [
            f"{test['test']}: {', '.join(test.get('made_elsewhere', ()))}"
            for test in self.tests.values()
            if "made_elsewhere" in test
        ]

    def losses(self) -> Counter[str]:
        """Count losses, except those that kept calls on Chat."""
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
        """Yield the lines of the report for the terminal."""
        from adapter.telemetry.counters import aligned

        rows: list[tuple[str, ...]] = [("asked for", *OUTCOMES, "calls", "on chat", "on responses")]
        for backend_name in BACKENDS:
            counts = self.counts_for(backend_name)
            if any(counts.values()):
                rows.append((backend_name, *(str(count) for count in counts.values())))
        yield from aligned(rows).split("\n")
        for title, found in (
            ("failed on one backend only:", self.one_side_only()),
            (
                "failed by sharing a client between event loops, not because of the backend:",
                self.event_loops(),
            ),
            (
                "asked for responses, answered by chat:",
                [f"{test}: {why}" for test, why in self.fallbacks()],
            ),
            (f"{MADE_ELSEWHERE}:", self.made_elsewhere()),
            (
                "run on chat only, as unittest or doctest (see --adapter-backend=responses):",
                [test["test"] for test in self.tests.values() if test["alone"]],
            ),
            (
                "lost or changed in translation:",
                [f"{what}, {count}×" for what, count in self.losses().most_common()],
            ),
            (
                "no call seen by the adapter (is the client the adapter's, or installed?):",
                self.without_calls(),
            ),
        ):
            if found:
                yield title
                yield from (f"  {line}" for line in found[:_MAX_LINES])
                if len(found) > _MAX_LINES:
                    yield f"  and {len(found) - _MAX_LINES} more: --adapter-report=FILE lists all"


_MAX_LINES = 20
MADE_ELSEWHERE = "used a fixture of a wider scope that made its calls on another backend"


def report_data(
    backend_name: SelectedBackend,
    watcher: CallWatcher,
    *,
    alone: bool,
    made_elsewhere: list[str],
    failure: str | None,
) -> dict[str, Any]:
    """Return what a test's report carries, from a pytest-xdist worker to the main process."""
    data = {"side": str(backend_name), "alone": alone, "calls": watcher.calls()}
    return {**data, "made_elsewhere": made_elsewhere, "failure": failure}
