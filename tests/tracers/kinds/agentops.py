"""AgentOps: the spans that it sends over OTLP."""

from __future__ import annotations

import os

import agentops
from agentops.sdk.core import tracer as its_tracer

from tests.support.loopback import Loopback, Reply, Request
from tests.tracers.otel import spans_sent
from tests.tracers.tracer import Record, Tracer, body_of

MASKS = False
UNSEEN = frozenset({"parsed", "raw streamed", "left"})


def answer(request: Request) -> Reply:
    """Give a token to whoever logs in."""
    return Reply.of_json(
        {"token": "token", "project_id": "project"} if "/auth" in request.path else {}
    )


def start(collector: Loopback, *, masked: bool) -> Tracer:
    """Patch the SDK's methods."""
    os.environ["AGENTOPS_LOGGING_TO_FILE"] = "false"
    agentops.init(
        api_key="11111111-1111-4111-8111-111111111111", endpoint=collector.url, exporter_endpoint=f"{collector.url}/v1/traces",
        app_url=collector.url, auto_start_session=False, env_data_opt_out=True, log_session_replay_url=False,
    )  # fmt: skip

    def read() -> list[Record]:
        its_tracer.provider.force_flush()
        sent = [body_of(one) for one in collector.requests if one.path.endswith("/v1/traces")]
        collector.requests.clear()
        return spans_sent(sent)

    return Tracer(read)
