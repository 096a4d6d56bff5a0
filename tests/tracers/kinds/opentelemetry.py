"""The instrumentation of OpenTelemetry's contributors."""

from __future__ import annotations

import os

from tests.support.loopback import Loopback
from tests.tracers.otel import Memory
from tests.tracers.tracer import Tracer

UNSEEN = frozenset({"parsed"})


def start(_: Loopback, *, masked: bool) -> Tracer:
    """Patch the SDK's `create`."""
    os.environ["OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"] = (
        "NO_CONTENT" if masked else "SPAN_AND_EVENT"
    )
    from opentelemetry.instrumentation.openai_v2 import OpenAIInstrumentor

    memory = Memory()
    OpenAIInstrumentor().instrument(**memory.providers)
    return Tracer(memory.read, inside=memory.inside)
