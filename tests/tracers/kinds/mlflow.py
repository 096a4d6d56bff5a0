"""MLflow: the traces in its store."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

from tests.support.loopback import Loopback
from tests.tracers.tracer import Record, Tracer

_FOLDER = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
# The chunks of a stream are events of its span, which a span processor doesn't change.
LETS_THROUGH = {"arguments", "answer"}
UNCERTAIN = {"left": "the span of a stream that is left ends when the stream is garbage, or never"}


def start(_: Loopback, *, masked: bool) -> Tracer:
    """Patch the SDK's methods."""
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    import mlflow

    mlflow.set_tracking_uri(f"sqlite:///{_FOLDER.name}/mlflow.db")
    mlflow.create_experiment("calls", artifact_location=Path(_FOLDER.name, "artifacts").as_uri())
    mlflow.set_experiment("calls")
    if masked:
        mlflow.tracing.configure(span_processors=[_mask])
    mlflow.openai.autolog()
    seen: set[str] = set()

    def read() -> list[Record]:
        mlflow.flush_trace_async_logging()
        found = []
        for trace in mlflow.search_traces(
            return_type="list", order_by=["timestamp_ms DESC"], max_results=50
        ):
            if trace.info.trace_id in seen:
                continue
            seen.add(trace.info.trace_id)
            found.append({**trace.to_dict(), "began": trace.info.request_time / 1000})
        return sorted(found, key=_began)

    return Tracer(read, inside=mlflow.start_span, begun=_began)


def _mask(span: Any) -> None:
    span.set_inputs("masked")
    span.set_outputs("masked")


def _began(trace: Record) -> float:
    began: float = trace["began"]
    return began
