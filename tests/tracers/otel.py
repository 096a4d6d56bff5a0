"""Spans, logs and metrics of OpenTelemetry as records: from memory, or as sent over OTLP."""

from __future__ import annotations

from typing import Any

from tests.tracers.tracer import Record


class Memory:
    """Providers that export to memory."""

    def __init__(self) -> None:
        from opentelemetry.sdk._logs import LoggerProvider
        from opentelemetry.sdk._logs.export import (
            InMemoryLogRecordExporter,
            SimpleLogRecordProcessor,
        )
        from opentelemetry.sdk.metrics import Histogram, MeterProvider
        from opentelemetry.sdk.metrics.export import AggregationTemporality, InMemoryMetricReader
        from opentelemetry.sdk.trace import TracerProvider

        self.spans, self.logs = span_memory(), InMemoryLogRecordExporter()
        self.metrics = InMemoryMetricReader(
            preferred_temporality={Histogram: AggregationTemporality.DELTA}
        )
        self.tracers, self.loggers = TracerProvider(), LoggerProvider()
        self.tracers.add_span_processor(processor(self.spans))
        self.loggers.add_log_record_processor(SimpleLogRecordProcessor(self.logs))
        self.meters = MeterProvider([self.metrics])

    @property
    def providers(self) -> dict[str, Any]:
        """Return the providers as arguments of instrumentors."""
        return {
            "tracer_provider": self.tracers,
            "logger_provider": self.loggers,
            "meter_provider": self.meters,
        }

    def read(self) -> list[Record]:
        """Return the exports since the last time."""
        return [*spans_of(self.spans), *self._logged(), *self._measured()]

    def inside(self, name: str) -> Any:
        """Open a span of the application's."""
        return self.tracers.get_tracer("application").start_as_current_span(name)

    def _logged(self) -> list[Record]:
        found = self.logs.get_finished_logs()
        self.logs.clear()
        return [
            {
                "log": one.log_record.event_name,
                "severity": getattr(one.log_record.severity_number, "name", None),
                "attributes": dict(one.log_record.attributes or {}),
                "body": one.log_record.body,
                "in a span": bool(one.log_record.span_id),
            }
            for one in found
        ]

    def _measured(self) -> list[Record]:
        data = self.metrics.get_metrics_data()
        metrics = [
            metric
            for resource in (data.resource_metrics if data else [])
            for scope in resource.scope_metrics
            for metric in scope.metrics
        ]
        return [
            {
                "metric": metric.name,
                "unit": metric.unit,
                "attributes": dict(point.attributes),
                "count": getattr(point, "count", None),
                # The others are durations.
                "sum": point.sum if "token" in metric.unit else None,
            }
            for metric in metrics
            for point in metric.data.data_points
            if getattr(point, "count", 1)
        ]


def span_memory() -> Any:
    """Make an exporter that keeps spans."""
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    return InMemorySpanExporter()


def processor(exporter: Any) -> Any:
    """Make a processor that exports each span as it ends."""
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor

    return SimpleSpanProcessor(exporter)


def spans_of(memory: Any) -> list[Record]:
    """Return the spans kept since the last time."""
    found = memory.get_finished_spans()
    memory.clear()
    names = {span.context.span_id: span.name for span in found}
    return [
        {
            "span": span.name,
            "scope": span.instrumentation_scope.name,
            "kind": span.kind.name,
            "parent": names.get(span.parent.span_id, "elsewhere") if span.parent else None,
            "status": [span.status.status_code.name, span.status.description],
            "attributes": dict(span.attributes or {}),
            "events": [
                {"event": event.name, "attributes": dict(event.attributes or {})}
                for event in span.events
            ],
            "links": len(span.links),
        }
        for span in found
    ]


def spans_sent(bodies: list[bytes]) -> list[Record]:
    """Read the spans in requests of OTLP, in protobuf."""
    from google.protobuf.json_format import MessageToDict
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    found = []
    for body in bodies:
        sent = ExportTraceServiceRequest.FromString(body)
        found += [
            (scope.scope.name, span)
            for resource in sent.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]
    names = {span.span_id: span.name for _, span in found}
    return [
        {
            "span": span.name,
            "scope": scope,
            "kind": span.kind,
            "parent": names.get(span.parent_span_id, "elsewhere") if span.parent_span_id else None,
            "status": MessageToDict(span.status),
            "attributes": _values(span.attributes),
            "events": [
                {"event": event.name, "attributes": _values(event.attributes)}
                for event in span.events
            ],
            "links": len(span.links),
        }
        for scope, span in found
    ]


def _values(pairs: Any) -> dict[str, Any]:
    return {pair.key: _value(pair.value) for pair in pairs}


def _value(value: Any) -> Any:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [_value(one) for one in value.array_value.values]
    if kind == "kvlist_value":
        return _values(value.kvlist_value.values)
    return getattr(value, kind) if kind else None
