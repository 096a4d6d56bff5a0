"""Traceloop's SDK, which has OpenLLMetry's instrumentation."""

from __future__ import annotations

import os

from tests.support.loopback import Loopback
from tests.tracers.otel import Memory
from tests.tracers.tracer import Tracer


def start(_: Loopback, *, masked: bool) -> Tracer:
    """Patch the SDK's methods."""
    os.environ |= {
        "TRACELOOP_TELEMETRY": "false",
        "TRACELOOP_TRACE_CONTENT": "false" if masked else "true",
    }
    from traceloop.sdk import Instruments, Traceloop

    memory = Memory()
    Traceloop.init(
        app_name="calls", exporter=memory.spans, disable_batch=True, telemetry_enabled=False,
        instruments={Instruments.OPENAI},
    )  # fmt: skip
    return Tracer(memory.read, inside=memory.inside)
