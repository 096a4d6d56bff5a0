"""LangSmith: the runs that it sends, one by one."""

from __future__ import annotations

import os
from datetime import datetime

from tests.support.loopback import Loopback
from tests.tracers.tracer import Record, Tracer


def start(collector: Loopback, *, masked: bool) -> Tracer:
    """Wrap the methods of a client's resources."""
    os.environ |= {
        "LANGSMITH_TRACING": "true",
        "LANGSMITH_API_KEY": "key",
        "LANGSMITH_ENDPOINT": collector.url,
    }
    from langsmith import Client, trace
    from langsmith.wrappers import wrap_openai

    client = Client(
        api_url=collector.url, api_key="key", hide_inputs=masked, hide_outputs=masked, auto_batch_tracing=False,
        info={"version": "0"},
    )  # fmt: skip

    def read() -> list[Record]:
        client.flush()
        runs: dict[str, Record] = {}
        for one in collector.requests:
            if one.path.startswith("/runs"):
                told = one.json()
                runs.setdefault(told["id"], {}).update(told)
        collector.requests.clear()
        names = {key: run.get("name") for key, run in runs.items()}
        found = [{**run, "parent": names.get(run.get("parent_run_id"))} for run in runs.values()]
        return sorted(found, key=_begun)

    return Tracer(
        read,
        wrap=lambda given: wrap_openai(given, tracing_extra={"client": client}),
        inside=lambda name: trace(name, client=client),
        begun=_begun,
    )


def _begun(run: Record) -> float:
    return datetime.fromisoformat(run["start_time"]).timestamp()
