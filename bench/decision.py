"""Measure a routing decision: the router alone, by kind of settings. Prints CPU microseconds.

    python -m bench.decision

Rows are interleaved, and the median of many short runs is taken, so that other load on the machine
affects all rows alike.
"""

from __future__ import annotations

import statistics
import time
from typing import Any

from adapter._exchange.effects import FlagQuery, Need
from adapter._routing.call import Call
from adapter._routing.overrides import NO_OVERRIDES, Overrides
from adapter._routing.router import Router
from adapter._settings.settings import Settings

ROUNDS, CALLS = 200, 500

BODY: dict[str, Any] = {
    "model": "gpt-4o",
    "messages": [
        {"role": "system", "content": "You are a helpful assistant. It is 12:34."},
        {
            "role": "user",
            "content": "Find me the cheapest way from Oslo to Bergen next Friday, "
            "by train or by bus.",
        },
    ],
    "tools": [
        {"type": "function", "function": {"name": "search", "parameters": {"type": "object"}}}
    ],
}
RULES = [
    {"match": {"tag": "batch-*"}, "backend": "chat"},
    {"match": {"model": ["gpt-3.5*", "o1*"], "stream": True}, "backend": "chat"},
    {"match": {"format": "json_schema", "tools": True}, "drop": ["seed"]},
]
ROWS: dict[str, tuple[Settings, Overrides]] = {
    "backend alone": (Settings(backend="responses"), NO_OVERRIDES),
    "backend, inside use(conversation=…)": (
        Settings(backend="responses"),
        Overrides(conversation="c-1"),
    ),
    "rollout": (Settings(rollout=50), NO_OVERRIDES),
    "rollout, inside use(conversation=…)": (Settings(rollout=50), Overrides(conversation="c-1")),
    "three rules": (Settings(backend="responses", rules=RULES), NO_OVERRIDES),
    "rollout and three rules": (Settings(rollout=50, rules=RULES), NO_OVERRIDES),
}


def _seconds(router: Router, overrides: Overrides) -> float:
    calls = [Call(None, {}, overrides, body=BODY) for _ in range(CALLS)]
    choose = router.choose
    began = time.thread_time()
    for call in calls:
        choose(call)
    return (time.thread_time() - began) / CALLS


def main() -> None:
    """Measure all rows and print them."""
    routers = {name: (Router(settings), overrides) for name, (settings, overrides) in ROWS.items()}
    for router, overrides in routers.values():
        assert not isinstance(
            router.choose(Call(None, {}, overrides, body=BODY)), (Need, FlagQuery)
        )
    taken: dict[str, list[float]] = {name: [] for name in ROWS}
    for _ in range(ROUNDS):
        for name, (router, overrides) in routers.items():
            taken[name].append(_seconds(router, overrides))
    for name, values in taken.items():
        print(f"{name:<40} {statistics.median(values) * 1e6:6.2f} µs")


if __name__ == "__main__":
    main()
