"""PostHog: the events that it sends."""

from __future__ import annotations

import json
from typing import Any

from posthog import Posthog
from posthog.ai.openai import AsyncOpenAI, OpenAI

from tests.support.loopback import Loopback
from tests.tracers.tracer import Record, Tracer, body_of

UNSEEN = frozenset({"helper", "helper with tools", "raw", "raw streamed", "streaming response"})
NOT_POSSIBLE = {"import": "its classes are the SDK's, derived, and don't wrap a client"}


def start(collector: Loopback, *, masked: bool) -> Tracer:
    """Derive classes from the SDK's."""
    posthog = Posthog(
        "key", host=collector.url, privacy_mode=masked, gzip=False, disable_geoip=False
    )

    def read() -> list[Record]:
        posthog.flush()
        bodies = [json.loads(body_of(one)) for one in collector.requests if "batch" in one.path]
        collector.requests.clear()
        return [event for body in bodies for event in body["batch"]]

    def make(*, asynchronous: bool, **given: Any) -> Any:
        return (AsyncOpenAI if asynchronous else OpenAI)(posthog_client=posthog, **given)

    return Tracer(read, make=make)
