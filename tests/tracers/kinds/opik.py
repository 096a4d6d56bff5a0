"""Opik, of Comet: the traces and spans that it sends."""

from __future__ import annotations

import json
import os
import time
from datetime import datetime
from typing import Any

from tests.support.loopback import Loopback, Reply, Request
from tests.tracers.tracer import Record, Tracer, body_of

MASKS = False


def answer(request: Request) -> Reply:
    """Say what is asked at the start."""
    return Reply.of_json({"version": "0", "content": []})


def start(collector: Loopback, *, masked: bool) -> Tracer:
    """Wrap the methods of a client's resources."""
    os.environ |= {
        "OPIK_URL_OVERRIDE": f"{collector.url}/api", "OPIK_SENTRY_ENABLE": "false", "OPIK_CONSOLE_LOGGING_LEVEL": "ERROR",
        "OPIK_ENABLE_JSON_REQUEST_COMPRESSION": "false",
    }  # fmt: skip
    import opik
    from opik.integrations.openai import track_openai

    client = opik.Opik()

    def read() -> list[Record]:
        for _ in range(2):
            time.sleep(0.4)  # what an update belongs to may still be under way
            client.flush()
        found: dict[str, Record] = {}
        for one in collector.requests:
            if one.method == "GET" or not one.body:
                continue
            body = json.loads(body_of(one))
            for kind in ("traces", "spans"):
                if f"/{kind}" not in one.path:
                    continue
                for each in body.get(kind) or [
                    body | {"id": body.get("id", one.path.rpartition("/")[2])}
                ]:
                    found.setdefault(each["id"], {"kind": kind}).update(each)
        collector.requests.clear()
        return sorted(
            found.values(), key=lambda one: (one["kind"] == "spans", str(one.get("start_time")))
        )

    def inside(name: str) -> Any:
        return opik.start_as_current_trace(name)

    def begun(one: Record) -> float:
        return datetime.fromisoformat(one["start_time"]).timestamp()

    return Tracer(read, wrap=track_openai, inside=inside, begun=begun)
