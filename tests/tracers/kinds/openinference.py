"""OpenInference, of Arize."""

from __future__ import annotations

from openinference.instrumentation import TraceConfig
from openinference.instrumentation.openai import OpenAIInstrumentor

from tests.support.loopback import Loopback
from tests.tracers.otel import Memory
from tests.tracers.tracer import Tracer


def start(_: Loopback, *, masked: bool) -> Tracer:
    """Patch the SDK's `request`."""
    memory = Memory()
    config = TraceConfig(hide_inputs=masked, hide_outputs=masked)
    OpenAIInstrumentor().instrument(tracer_provider=memory.tracers, config=config)
    return Tracer(memory.read, inside=memory.inside)
