"""Weave, of Weights & Biases: the calls that it sends."""

from __future__ import annotations

import json
import os
from datetime import datetime
from typing import Any

from tests.support.loopback import Loopback, Reply, Request
from tests.tracers.tracer import Record, Tracer, body_of


def answer(request: Request) -> Reply:
    """Answer what is asked at the start, and of objects."""
    if "graphql" in request.path:
        return Reply.of_json(
            {"data": {"project": {"name": "calls", "internalId": "1"}, "upsertModel": {}}}
        )
    return Reply.of_json(
        {
            "min_required_weave_python_version": "0.0.1",
            "trace_server_version": "99.0.0",
            "digest": "d",
            "id": "i",
        }
    )


def start(collector: Loopback, *, masked: bool) -> Tracer:
    """Patch the SDK's methods."""
    os.environ |= {
        "WANDB_API_KEY": "k" * 40, "WANDB_ENTITY": "us", "WANDB_BASE_URL": collector.url, "WF_TRACE_SERVER_URL": collector.url,
        "WANDB_ERROR_REPORTING": "false", "WEAVE_SENTRY_ENV": "off",
    }  # fmt: skip
    import weave
    from weave.trace import init_message

    init_message.check_available = lambda *_: (
        None
    )  # it asks a registry for newer versions of itself
    hide: dict[str, Any] = {
        "postprocess_inputs": lambda _: {"masked": True}, "postprocess_output": lambda _: "masked",
    } if masked else {}  # fmt: skip
    client = weave.init(
        "us/calls", settings={"print_call_link": False, "capture_code": False}, **hide
    )
    weave.integrations.patch_openai()

    def read() -> list[Record]:
        client.flush()
        sent = [
            json.loads(body_of(one))
            for one in collector.requests
            if one.path.endswith("/calls/complete")
        ]
        collector.requests.clear()
        return [call for body in sent for call in body["batch"]]

    return Tracer(read, begun=lambda call: datetime.fromisoformat(call["started_at"]).timestamp())
