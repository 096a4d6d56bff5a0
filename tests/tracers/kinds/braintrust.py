"""Braintrust: the rows that it sends."""

from __future__ import annotations

import json
import os

import braintrust

from tests.support.loopback import Loopback, Reply, Request
from tests.tracers.tracer import Record, Tracer, body_of


def answer(request: Request) -> Reply:
    """Answer what is asked at the start."""
    url = f"http://{request.header('host')}"
    organisation = {"id": "organisation", "name": "us", "api_url": url, "proxy_url": url}
    return Reply.of_json({"org_info": [organisation], "id": "project", "name": "calls"})


def start(collector: Loopback, *, masked: bool) -> Tracer:
    """Wrap a client in a proxy."""
    os.environ["BRAINTRUST_APP_URL"] = collector.url
    logger = braintrust.init_logger(project="calls", api_key="key", app_url=collector.url)
    if masked:
        braintrust.set_masking_function(lambda _: "masked")

    def read() -> list[Record]:
        logger.flush()
        sent = [json.loads(body_of(one)) for one in collector.requests if one.path == "/logs3"]
        collector.requests.clear()
        rows: dict[str, Record] = {}
        for body in sent:
            for row in body["rows"]:
                _merge(rows.setdefault(row["id"], {}), row)
        names = {row["span_id"]: row["span_attributes"]["name"] for row in rows.values()}
        return [
            {**row, "parents": [names.get(one) for one in row.get("span_parents") or ()]}
            for row in rows.values()
        ]

    return Tracer(
        read, wrap=braintrust.wrap_openai, inside=lambda name: logger.start_span(name=name)
    )


def _merge(row: Record, more: Record) -> None:
    for key, value in more.items():
        if isinstance(value, dict) and isinstance(row.get(key), dict):
            _merge(row[key], value)
        else:
            row[key] = value
