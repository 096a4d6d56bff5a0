"""OpenLIT."""

from __future__ import annotations

import openlit
from opentelemetry import metrics, trace
from opentelemetry._logs import set_logger_provider

from tests.support.loopback import Loopback
from tests.tracers.otel import Memory
from tests.tracers.tracer import Tracer

UNSEEN = frozenset({"raw streamed", "left", "cut"})
# The arguments of tool calls in an answer, natively, too.
LETS_THROUGH = {"arguments"}


def start(_: Loopback, *, masked: bool) -> Tracer:
    """Patch the SDK's methods; providers that are there are used."""
    memory = Memory()
    trace.set_tracer_provider(memory.tracers)
    metrics.set_meter_provider(memory.meters)
    set_logger_provider(memory.loggers)
    openlit.init(
        disable_batch=True, capture_message_content=not masked, pricing_json="{}",
        # Which request is sent, and how many, is what differs between the APIs.
        disabled_instrumentors=["httpx", "requests", "urllib", "urllib3", "aiohttp-client"],
    )  # fmt: skip
    return Tracer(memory.read, inside=memory.inside)
