"""Logfire, of Pydantic."""

from __future__ import annotations

from typing import Any

import logfire

from tests.support.loopback import Loopback
from tests.tracers.otel import processor, span_memory, spans_of
from tests.tracers.tracer import Tracer

# Scrubbing takes out what matches a pattern, but leaves the messages alone.
LETS_THROUGH = {"system", "prompt", "answer", "arguments", "sent arguments", "sent output"}


def start(_: Loopback, *, masked: bool) -> Tracer:
    """Wrap methods of a client's."""
    spans = span_memory()
    logfire.configure(
        send_to_logfire=False,
        console=False,
        additional_span_processors=[processor(spans)],
        scrubbing=logfire.ScrubbingOptions(extra_patterns=["zebra"]) if masked else None,
    )

    def wrap(client: Any) -> Any:
        logfire.instrument_openai(client)
        return client

    return Tracer(lambda: spans_of(spans), wrap=wrap, inside=logfire.span)
