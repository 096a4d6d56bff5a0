"""Langfuse: the spans that it sends over OTLP."""

from __future__ import annotations

import importlib

from langfuse import Langfuse

from tests.support.loopback import Loopback
from tests.tracers.otel import spans_sent
from tests.tracers.tracer import Record, Tracer, body_of

UNSEEN = frozenset({"raw streamed", "streaming response"})


def start(collector: Loopback, *, masked: bool) -> Tracer:
    """Patch the SDK's `create`, by importing its own form of the SDK."""
    mask = (lambda *, data, **_: "masked" if data else data) if masked else None
    client = Langfuse(public_key="pk", secret_key="sk", base_url=collector.url, mask=mask)
    importlib.import_module("langfuse.openai")

    def read() -> list[Record]:
        client.flush()
        sent = [body_of(one) for one in collector.requests if one.path.endswith("/v1/traces")]
        collector.requests.clear()
        return spans_sent(sent)

    return Tracer(read, inside=lambda name: client.start_as_current_observation(name=name))
