"""Datadog: the spans that it sends to an agent, and the events of its LLM Observability."""

from __future__ import annotations

import json
import os
from typing import Any

from tests.support.loopback import Loopback, Reply, Request
from tests.tracers.tracer import Record, Tracer, body_of

UNSEEN = frozenset({"raw streamed"})
# A processor masks the contents of messages; tool calls and their outputs stand beside them.
LETS_THROUGH = {"arguments", "sent arguments", "sent output"}


def answer(request: Request) -> Reply:
    """Tell what the agent can do."""
    return Reply.of_json(
        {"endpoints": ["/v0.4/traces", "/v0.5/traces", "/evp_proxy/v2/"], "version": "7.60.0"}
    )


def start(collector: Loopback, *, masked: bool) -> Tracer:
    """Patch the SDK's methods."""
    os.environ |= {
        "DD_TRACE_AGENT_URL": collector.url, "DD_INSTRUMENTATION_TELEMETRY_ENABLED": "false", "DD_REMOTE_CONFIGURATION_ENABLED": "false",
        "DD_TRACE_API_VERSION": "v0.4", "DD_TRACE_STARTUP_LOGS": "false", "DD_TRACE_COMPUTE_STATS": "false",
    }  # fmt: skip
    import ddtrace
    import msgpack
    from ddtrace.llmobs import LLMObs
    from ddtrace.trace import tracer

    LLMObs.enable(ml_app="calls", integrations_enabled=False, agentless_enabled=False)
    if masked:
        LLMObs.register_processor(_mask)
    ddtrace.patch(openai=True)

    def read() -> list[Record]:
        tracer.flush()
        LLMObs.flush()
        found: list[Record] = []
        for one in collector.requests:
            if one.path.endswith("/traces"):
                spans = [
                    span
                    for trace in msgpack.unpackb(body_of(one), strict_map_key=False)
                    for span in trace
                ]
                names = {span["span_id"]: span["name"] for span in spans}
                for span in spans:
                    packed = span.get("meta_struct") or {}
                    unpacked = {
                        key: msgpack.unpackb(value, strict_map_key=False)
                        for key, value in packed.items()
                    }
                    found.append(
                        {
                            **span,
                            "meta_struct": unpacked,
                            "parent": names.get(span.get("parent_id")),
                        }
                    )
            elif "llmobs" in one.path:
                found += _events(json.loads(body_of(one)))
        collector.requests.clear()
        return found

    return Tracer(
        read, inside=tracer.trace, begun=lambda one: (one.get("start") or one.get("start_ns")) / 1e9
    )


def _events(body: Any) -> list[Any]:
    parts = body if isinstance(body, list) else [body]
    return [event for part in parts for event in part.get("spans", [part])]


def _mask(span: Any) -> Any:
    for side in (span.input, span.output):
        for message in side:
            message["content"] = "masked"
    return span
