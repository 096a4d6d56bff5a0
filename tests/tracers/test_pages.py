"""The programs on a tracer's page of docs/integrations/, run as they stand there.

They print the same on both APIs, and the tracer sees the call.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.loopback import Loopback, Reply
from tests.support.page_programs import BACKENDS, HELLO, programs, run
from tests.tracers.conftest import TRACER
from tests.tracers.tracer import body_of

PROGRAMS = programs(TRACER)
WRITES_A_FILE = TRACER == "mlflow"
"""It keeps its traces in a database; all others send them."""
ASKED = b"Say hello."
_PROVIDERS = """
import sys
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SimpleSpanProcessor
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(ConsoleSpanExporter(out=sys.stderr)))
trace.set_tracer_provider(provider)
"""
BEFORE = {"openinference": _PROVIDERS, "opentelemetry": _PROVIDERS}
"""What an application sets up that the page takes for granted."""


def environment(collector: Loopback, folder: Path) -> dict[str, str]:
    """Return what a user has in the environment: where a tracer sends to, and its key."""
    url = collector.url
    otlp = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": url,
        "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
    }
    every: dict[str, dict[str, str]] = {
        "agentops": {
            "AGENTOPS_API_KEY": "11111111-1111-4111-8111-111111111111",
            "AGENTOPS_API_ENDPOINT": url,
            "AGENTOPS_EXPORTER_ENDPOINT": f"{url}/v1/traces",
            "AGENTOPS_APP_URL": url,
            "AGENTOPS_LOGGING_TO_FILE": "false",
        },
        "braintrust": {"BRAINTRUST_API_KEY": "key", "BRAINTRUST_APP_URL": url},
        "ddtrace": {
            "DD_TRACE_AGENT_URL": url,
            "DD_LLMOBS_ENABLED": "true",
            "DD_LLMOBS_ML_APP": "calls",
            "DD_LLMOBS_AGENTLESS_ENABLED": "false",
            "DD_INSTRUMENTATION_TELEMETRY_ENABLED": "false",
            "DD_REMOTE_CONFIGURATION_ENABLED": "false",
        },
        "langfuse": {
            "LANGFUSE_PUBLIC_KEY": "pk",
            "LANGFUSE_SECRET_KEY": "sk",
            "LANGFUSE_BASE_URL": url,
        },
        "langsmith": {
            "LANGSMITH_TRACING": "true",
            "LANGSMITH_API_KEY": "key",
            "LANGSMITH_ENDPOINT": url,
        },
        "logfire": {"LOGFIRE_SEND_TO_LOGFIRE": "false", "LOGFIRE_CONSOLE": "false", **otlp},
        "mlflow": {
            "MLFLOW_TRACKING_URI": f"sqlite:///{folder}/mlflow.db",
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "MLFLOW_ENABLE_ASYNC_TRACE_LOGGING": "false",
        },
        "openlit": otlp,
        "opik": {
            "OPIK_URL_OVERRIDE": f"{url}/api",
            "OPIK_SENTRY_ENABLE": "false",
            "OPIK_CONSOLE_LOGGING_LEVEL": "ERROR",
        },
        "posthog": {"POSTHOG_KEY": "key", "POSTHOG_HOST": url},
        "sentry": {"SENTRY_DSN": url.replace("//", "//key@") + "/1"},
        "traceloop": {
            "TRACELOOP_BASE_URL": url,
            "TRACELOOP_API_KEY": "key",
            "TRACELOOP_TELEMETRY": "false",
        },
        "weave": {
            "WANDB_API_KEY": "k" * 40,
            "WANDB_BASE_URL": url,
            "WF_TRACE_SERVER_URL": url,
            "WANDB_ERROR_REPORTING": "false",
            "WEAVE_SENTRY_ENV": "off",
            "WEAVE_PRINT_CALL_LINK": "false",
        },
    }
    return {"DO_NOT_TRACK": "1", **every.get(TRACER, {})}


@pytest.fixture
def collector() -> Iterator[Loopback]:
    kind = importlib.import_module(f"tests.tracers.kinds.{TRACER}")
    with Loopback() as made:
        made.answer = getattr(kind, "answer", lambda _: Reply.of_json({}))
        yield made


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("number", range(len(PROGRAMS)))
def test_the_pages_program(number: int, backend: str, collector: Loopback, tmp_path: Path) -> None:
    ran = run(
        PROGRAMS[number],
        backend,
        tmp_path,
        environment(collector, tmp_path),
        BEFORE.get(TRACER, ""),
    )
    assert ran.printed.splitlines()[-1] == HELLO
    assert ran.paths == {BACKENDS[backend]}
    if TRACER in BEFORE:
        exported = ran.remarks.encode()
    elif WRITES_A_FILE:
        exported = (tmp_path / "mlflow.db").read_bytes()
    else:
        exported = b"".join(body_of(one) for one in collector.requests)
    assert ASKED in exported or b"gpt-5.2" in exported, (
        sorted({one.path for one in collector.requests}),
        ran.remarks[-2000:],
    )
