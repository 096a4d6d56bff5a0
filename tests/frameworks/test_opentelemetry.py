"""Run OpenTelemetry's two instrumentations for openai.

The spans, logs and metrics must be the same with the flag on and off. The instrumentations patch
the SDK's `create`, and must observe what they observe with the SDK alone.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any
from unittest import mock

import openai
import pytest
from openai.resources.chat.completions import AsyncCompletions, Completions
from opentelemetry.instrumentation.openai import OpenAIInstrumentor as TraceloopInstrumentor
from opentelemetry.instrumentation.openai_v2 import OpenAIInstrumentor
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from pydantic import BaseModel

from tests.frameworks.harness import Comparison, Side, Source, differences, plain
from tests.support.scenarios import WEATHER

USER = [{"role": "user", "content": "Say hello."}]
ASKS = [{"role": "user", "content": "What is the weather in Paris?"}]
USAGE = {"stream": True, "stream_options": {"include_usage": True}}
HELLO = "Hello! I am a tiny scripted model, so this reply is always the same."

BUT = {
    "gen_ai.openai.response.system_fingerprint": "the Responses API has none",
    "gen_ai.response.system_fingerprint": "same",
    "openai.response.system_fingerprint": "same",
    # vLLM's Chat has no service tier, its Responses API has `auto`.
    "gen_ai.openai.response.service_tier": "vLLM's own",
    "openai.response.service_tier": "vLLM's own",
}


# `uninstrument` doesn't remove either under the newest wrapt: they would nest, from test to test.
PATCHED = [
    (owner, name) for owner in (Completions, AsyncCompletions) for name in ("create", "parse")
]


class Person(BaseModel):
    name: str
    age: int
    tags: list[str]


class Instrumentation:
    """Hold one instrumentation, and read what it has exported."""

    keeps_contents = False

    def __init__(self, instrumentor: Any) -> None:
        self.spans, self.logs, self.metrics = (
            InMemorySpanExporter(),
            InMemoryLogRecordExporter(),
            InMemoryMetricReader(),
        )
        self.tracers, self.meters = TracerProvider(), MeterProvider([self.metrics])
        self.tracers.add_span_processor(SimpleSpanProcessor(self.spans))
        self.loggers = LoggerProvider()
        self.loggers.add_log_record_processor(SimpleLogRecordProcessor(self.logs))
        self.instrumentor = instrumentor
        instrumentor.instrument(
            tracer_provider=self.tracers,
            meter_provider=self.meters,
            logger_provider=self.loggers,
            skip_dep_check=True,
        )

    def close(self) -> None:
        self.instrumentor.uninstrument()
        for provider in (self.tracers, self.meters, self.loggers):
            provider.shutdown()

    def seen(self) -> dict[str, Any]:
        """Return the exports since the last time.

        Metrics are given by name and attributes, since their values are durations.
        """
        spans, logs = self.spans.get_finished_spans(), self.logs.get_finished_logs()
        self.spans.clear()
        self.logs.clear()
        return {
            "spans": [
                {
                    "name": span.name,
                    "kind": span.kind.name,
                    "status": [span.status.status_code.name, span.status.description],
                    "attributes": _read(dict(span.attributes or {})),
                    "events": [
                        [event.name, _without_trace(event.attributes)]
                        for event in span.events
                        # Traceloop has one for each chunk; the number of chunks is up to the
                        # server.
                        if event.name != "gen_ai.content.completion.chunk"
                    ],
                    "parent": span.parent is not None,
                }
                for span in spans
            ],
            "logs": [
                [
                    each.log_record.event_name,
                    _read(dict(each.log_record.attributes or {})),
                    each.log_record.body,
                ]
                for each in logs
            ],
        }

    def measured(self) -> list[str]:
        """List the metrics so far, each with the attributes it has."""
        data = self.metrics.get_metrics_data()
        resources = data.resource_metrics if data else []
        metrics = [
            metric
            for resource in resources
            for scope in resource.scope_metrics
            for metric in scope.metrics
        ]
        return sorted(
            {
                json.dumps(
                    [metric.name, {k: v for k, v in point.attributes.items() if k not in BUT}],
                    sort_keys=True,
                )
                for metric in metrics
                for point in metric.data.data_points
            }
        )


def _read(value: Any) -> Any:
    """Parse JSON in attributes.

    Empty texts are left out: vLLM's Chat has them before a streamed call, where OpenAI's has null.
    """
    if isinstance(value, str) and value.startswith(("[{", "{")):
        with suppress(ValueError):  # pieces of JSON occur in attributes too
            value = json.loads(value)
    if isinstance(value, Mapping):
        return {key: _read(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_read(each) for each in value if each != {"type": "text", "content": ""}]
    return value


def _without_trace(attributes: Any) -> dict[str, Any]:
    return {
        name: value for name, value in (attributes or {}).items() if name != "exception.stacktrace"
    }


@pytest.fixture(params=["contrib", "contrib with contents", "traceloop"])
def instrumentation(request: pytest.FixtureRequest) -> Iterator[Instrumentation]:
    contents = "SPAN_AND_EVENT" if "contents" in request.param else "NO_CONTENT"
    with mock.patch.dict(
        os.environ, {"OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT": contents}
    ):
        before = [vars(owner)[name] for owner, name in PATCHED]
        made = Instrumentation(
            TraceloopInstrumentor() if request.param == "traceloop" else OpenAIInstrumentor()
        )
        made.keeps_contents = request.param != "contrib"
        try:
            yield made
        finally:
            made.close()
            for (owner, name), plain_method in zip(PATCHED, before, strict=True):
                setattr(owner, name, plain_method)


def compared(
    comparison: Comparison, instrumentation: Instrumentation, name: str, run: Any
) -> dict[str, Any]:
    """Compare what one program exports on both backends."""

    def watched(side: Side) -> Any:
        text = run(side)
        return {"result": text, **instrumentation.seen()}

    outcome: dict[str, Any] = comparison.compare(name, watched, but=BUT)
    return outcome


def only(outcome: dict[str, Any]) -> dict[str, Any]:
    (span,) = outcome["spans"]
    assert span["kind"] == "CLIENT"
    return dict(span)


def test_create(comparison: Comparison, instrumentation: Instrumentation) -> None:
    def run(side: Side) -> Any:
        return (
            side.openai()
            .chat.completions.create(model="tiny", messages=USER, max_tokens=100)
            .choices[0]
            .message.content
        )

    outcome = compared(comparison, instrumentation, "create", run)
    span = only(outcome)
    assert outcome["result"] == HELLO
    assert span["attributes"]["gen_ai.request.model"] == "tiny"
    assert span["attributes"]["gen_ai.usage.output_tokens"] > 5
    assert span["attributes"]["gen_ai.request.max_tokens"] == 100
    assert (HELLO in json.dumps(outcome["spans"])) == instrumentation.keeps_contents


def test_create_async(comparison: Comparison, instrumentation: Instrumentation) -> None:
    async def run(side: Side) -> Any:
        completion = await side.async_openai().chat.completions.create(
            model="tiny", messages=USER, max_tokens=100
        )
        return {"result": completion.choices[0].message.content, **instrumentation.seen()}

    outcome = comparison.compare("create", run, but=BUT)
    assert outcome["result"] == HELLO
    only(outcome)


def test_stream(comparison: Comparison, instrumentation: Instrumentation) -> None:
    def run(side: Side) -> Any:
        with side.openai().chat.completions.create(model="tiny", messages=USER, **USAGE) as stream:
            return "".join(
                choice.delta.content or "" for chunk in stream for choice in chunk.choices
            )

    outcome = compared(comparison, instrumentation, "stream", run)
    assert outcome["result"] == HELLO
    assert only(outcome)["attributes"]["gen_ai.usage.output_tokens"] > 5


def test_stream_async(comparison: Comparison, instrumentation: Instrumentation) -> None:
    async def run(side: Side) -> Any:
        stream = await side.async_openai().chat.completions.create(
            model="tiny", messages=USER, **USAGE
        )
        async with stream:
            text = [
                choice.delta.content or "" async for chunk in stream for choice in chunk.choices
            ]
        return {"result": "".join(text), **instrumentation.seen()}

    outcome = comparison.compare("stream", run, but=BUT)
    assert outcome["result"] == HELLO
    only(outcome)


def test_stream_left_early(comparison: Comparison, instrumentation: Instrumentation) -> None:
    def run(side: Side) -> Any:
        with side.openai().chat.completions.create(model="tiny", messages=USER, **USAGE) as stream:
            return next(
                chunk.choices[0].delta.content for chunk in stream if chunk.choices[0].delta.content
            )

    only(compared(comparison, instrumentation, "stream", run))


def test_tool_call(comparison: Comparison, instrumentation: Instrumentation) -> None:
    def run(side: Side) -> Any:
        completion = side.openai().chat.completions.create(
            model="tiny", messages=ASKS, tools=[WEATHER]
        )
        return [call.function.arguments for call in completion.choices[0].message.tool_calls]

    outcome = compared(comparison, instrumentation, "tool_call", run)
    assert outcome["result"] == ['{"city": "Paris"}']
    assert "get_weather" in json.dumps(only(outcome)) or not instrumentation.keeps_contents


def test_tool_call_streamed(comparison: Comparison, instrumentation: Instrumentation) -> None:
    def run(side: Side) -> Any:
        with side.openai().chat.completions.create(
            model="tiny", messages=ASKS, tools=[WEATHER], **USAGE
        ) as stream:
            deltas = [choice.delta for chunk in stream for choice in chunk.choices]
        return "".join(
            call.function.arguments or "" for delta in deltas for call in delta.tool_calls or []
        )

    outcome = compared(comparison, instrumentation, "tool_call_streamed", run)
    assert outcome["result"] == '{"city": "Paris"}'
    only(outcome)


def test_parse(recorded_comparison: Comparison, instrumentation: Instrumentation) -> None:
    def run(side: Side) -> Any:
        completion = side.openai().chat.completions.parse(
            model="tiny",
            messages=[{"role": "user", "content": "Make somebody up."}],
            response_format=Person,
        )
        return completion.choices[0].message.parsed

    assert compared(recorded_comparison, instrumentation, "parse", run)["result"]["name"] == "Paris"


def test_raw_response(comparison: Comparison, instrumentation: Instrumentation) -> None:
    def run(side: Side) -> Any:
        raw = side.openai().chat.completions.with_raw_response.create(
            model="tiny", messages=USER, max_tokens=100
        )
        return raw.parse().choices[0].message.content

    outcome = compared(comparison, instrumentation, "create", run)
    assert outcome["result"] == HELLO
    only(outcome)


def test_error(recorded_comparison: Comparison, instrumentation: Instrumentation) -> None:
    def run(side: Side) -> Any:
        with pytest.raises(openai.BadRequestError) as failure:
            side.openai().chat.completions.create(model="tiny", messages=USER, temperature=9.0)
        return failure.value.status_code

    outcome = compared(recorded_comparison, instrumentation, "error", run)
    assert outcome["result"] == 400
    span = only(outcome)
    assert span["status"][0] == "ERROR"
    assert "BadRequestError" in span["attributes"]["error.type"]


def test_connection_error(way_in: str, instrumentation: Instrumentation) -> None:
    outcomes = {}
    for backend in ("chat", "responses"):
        # No server listens on this port, which is reserved for the discard protocol.
        side = Comparison("opentelemetry", way_in, Source("nobody", "http://127.0.0.1:9/v1")).side(
            backend
        )
        with pytest.raises(openai.APIConnectionError):
            side.play(
                lambda side: side.openai().chat.completions.create(model="tiny", messages=USER)
            )
        outcomes[backend] = plain(instrumentation.seen())
    assert list(differences(outcomes["chat"], outcomes["responses"])) == []
    assert "APIConnectionError" in only(outcomes["chat"])["attributes"]["error.type"]


def test_metrics(comparison: Comparison, instrumentation: Instrumentation) -> None:
    seen = {}
    for backend in ("chat", "responses"):

        def run(side: Side) -> Any:
            return side.openai().chat.completions.create(
                model="tiny", messages=USER, max_tokens=100
            )

        comparison.run("create", backend, run)
        # They add up: a second backend must not add a series of other attributes.
        seen[backend] = instrumentation.measured()
    assert seen["chat"]
    assert seen["responses"] == seen["chat"]
