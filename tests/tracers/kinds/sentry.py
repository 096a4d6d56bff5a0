"""Sentry: spans in the transactions, and the events of errors, that it sends as envelopes."""

from __future__ import annotations

import json
from typing import Any

import sentry_sdk
from sentry_sdk.envelope import Envelope
from sentry_sdk.integrations.openai import OpenAIIntegration

from tests.support.loopback import Loopback
from tests.tracers.tracer import Record, Tracer, body_of

UNSEEN = frozenset({"parsed"})


def start(collector: Loopback, *, masked: bool) -> Tracer:
    """Patch the SDK's `create`; spans need a transaction, which is begun anew at each reading."""
    sentry_sdk.init(
        dsn=collector.url.replace("//", "//key@") + "/1", traces_sample_rate=1.0, send_default_pii=not masked,
        integrations=[OpenAIIntegration(include_prompts=not masked)], default_integrations=False,
        include_local_variables=False, auto_session_tracking=False,
    )  # fmt: skip
    under_way: list[Any] = [sentry_sdk.start_transaction(name="calls").__enter__()]

    def read() -> list[Record]:
        under_way.pop().__exit__(None, None, None)
        sentry_sdk.flush()
        bodies = [body_of(one) for one in collector.requests]
        collector.requests.clear()
        under_way.append(sentry_sdk.start_transaction(name="calls").__enter__())
        items = [item for body in bodies for item in Envelope.deserialize(body).items]
        return _records([(item.type, json.loads(item.get_bytes())) for item in items])

    return Tracer(read, inside=lambda name: sentry_sdk.start_span(name=name, op=name))


def _records(items: list[tuple[str, dict[str, Any]]]) -> list[Record]:
    """Give errors as they are, and spans, of either form, with their parents' names."""
    spans = [
        span
        for kind, item in items
        for span in item.get({"transaction": "spans", "span": "items"}.get(kind, ""), ())
    ]
    names = {span["span_id"]: span.get("name") or span.get("description") for span in spans}
    found: list[Record] = [
        {"span": {**span, "parent": names.get(span["parent_span_id"])}} for span in spans
    ]
    return [*found, *({kind: item} for kind, item in items if kind not in ("transaction", "span"))]
