"""Made-up logs: how tools log a request, each as a function from a body (and its usage) to a row.

Parameters that a tool doesn't log are listed beside it, so that no test expects them.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.support.trace_writers import (
    GENAI_LEAVES_OUT,
    LANGFUSE_LEAVES_OUT,
    URL,
    WHEN,
    Json,
    answer,
    braintrust,
    datadog_llm,
    genai,
    genai_events,
    genai_messages,
    genai_prompt_event,
    genai_record,
    langchain,
    langfuse,
    langfuse_ingestion,
    langfuse_span,
    langfuse_table,
    langfuse_trace,
    langsmith,
    litellm,
    litellm_callback,
    litellm_spend,
    mlflow,
    openinference,
    openinference_whole,
    otlp_span,
    posthog,
    sdk_span,
    text,
    traceloop,
    weave,
)

Writer = Callable[[Json, Json], Any]


@dataclass(frozen=True)
class Log:
    """How one tool logs.

    `leaves_out` are parameters, or "messages", that it doesn't log; `usage` means it logs tokens.
    """

    write: Writer
    leaves_out: tuple[str, ...] = ()
    usage: bool = False
    format: str = ""


def har(body: Json, usage: Json) -> Json:
    reply = base64.b64encode(text(answer(body, usage)).encode()).decode()
    page = {
        "request": {"method": "GET", "url": "https://example.com/"},
        "response": {"content": {"text": "<html>"}},
    }
    call = {
        "startedDateTime": WHEN,
        "request": {"method": "POST", "url": URL, "headers": [{"name": "content-type", "value": "application/json"}],
                    "postData": {"mimeType": "application/json", "text": text(body)}},
        "response": {"status": 200, "content": {"mimeType": "application/json", "text": reply, "encoding": "base64"}},
    }  # fmt: skip
    return {"log": {"version": "1.2", "creator": {"name": "x"}, "entries": [page, call]}}


def vcr(body: Json, usage: Json) -> Json:
    request = {
        "method": "POST",
        "uri": URL,
        "body": text(body),
        "headers": {"content-type": ["application/json"]},
    }
    response = {
        "status": {"code": 200, "message": "OK"},
        "body": {"string": text(answer(body, usage))},
    }
    return {"version": 1, "interactions": [{"request": request, "response": response}]}


def insights(body: Json, usage: Json) -> Any:
    return [
        {"field": "@timestamp", "value": WHEN},
        {"field": "@message", "value": text({"request": body, "usage": usage})},
    ]


def subscription(body: Json, usage: Json) -> Json:
    events = [
        {"id": "1", "timestamp": 1, "message": "START RequestId: 1 Version: $LATEST"},
        {
            "id": "2",
            "timestamp": 2,
            "message": text({"level": "INFO", "request": body, "usage": usage}),
        },
    ]
    return {"messageType": "DATA_MESSAGE", "owner": "1", "logGroup": "g", "logEvents": events}


def nginx(body: Json, usage: Json) -> Json:
    return {
        "time_local": "02/Jan/2026",
        "request": "POST /v1/chat/completions HTTP/1.1",
        "status": 200,
        "request_body": text(body),
    }


LOGS: dict[str, Log] = {
    "a bare body": Log(lambda body, usage: body),
    "method, url, body": Log(lambda body, usage: {"method": "POST", "url": URL, "body": body}),
    "a batch file": Log(lambda body, usage: {"custom_id": "1", "method": "POST", "url": "/v1/chat/completions", "body": body}),
    "an HTTP hook": Log(lambda body, usage: {"method": "POST", "url": URL, "headers": {"a": "b"}, "content": text(body)}),
    "nginx": Log(nginx),
    "request and response": Log(lambda body, usage: {"request": body, "response": answer(body, usage)}, usage=True),
    "LiteLLM": Log(litellm, ("top_k", "metadata"), usage=True, format="LiteLLM"),
    "LiteLLM, callback": Log(litellm_callback, usage=True, format="LiteLLM callback"),
    "LiteLLM, spend log": Log(litellm_spend, usage=True, format="LiteLLM spend log"),
    "Langfuse": Log(langfuse, LANGFUSE_LEAVES_OUT, usage=True, format="Langfuse"),
    "Langfuse, table": Log(langfuse_table, LANGFUSE_LEAVES_OUT, usage=True, format="Langfuse"),
    "Langfuse, trace": Log(langfuse_trace, LANGFUSE_LEAVES_OUT, usage=True, format="Langfuse"),
    "Langfuse, ingestion": Log(langfuse_ingestion, LANGFUSE_LEAVES_OUT, usage=True, format="Langfuse ingestion"),
    "Langfuse, span": Log(langfuse_span, LANGFUSE_LEAVES_OUT, usage=True, format="Langfuse span"),
    "LangSmith": Log(langsmith, usage=True, format="LangSmith"),
    "LangChain": Log(langchain, ("top_k",), usage=True, format="LangSmith"),
    "OTLP": Log(lambda body, usage: otlp_span(genai_messages(body, usage)), GENAI_LEAVES_OUT, usage=True, format="OpenTelemetry GenAI"),
    "OTLP, no messages": Log(lambda body, usage: otlp_span(genai(body, usage)), (*GENAI_LEAVES_OUT, "messages"), usage=True, format="OpenTelemetry GenAI"),
    "a span": Log(lambda body, usage: sdk_span(genai_messages(body, usage)), GENAI_LEAVES_OUT, usage=True, format="OpenTelemetry GenAI"),
    "a log record": Log(genai_record, GENAI_LEAVES_OUT, usage=True, format="OpenTelemetry GenAI"),
    "events of a span": Log(genai_events, tuple(x for x in GENAI_LEAVES_OUT if x != "name"), usage=True, format="OpenTelemetry GenAI"),
    "an event with the prompt": Log(genai_prompt_event, tuple(x for x in GENAI_LEAVES_OUT if x != "name"), usage=True, format="OpenTelemetry GenAI"),
    "attributes alone": Log(genai_messages, GENAI_LEAVES_OUT, usage=True, format="OpenTelemetry GenAI"),
    "Traceloop": Log(traceloop, GENAI_LEAVES_OUT, usage=True, format="OpenTelemetry GenAI"),
    "OpenInference": Log(lambda body, usage: sdk_span(openinference(body, usage)), usage=True, format="OpenInference"),
    "OpenInference, whole": Log(lambda body, usage: otlp_span(openinference_whole(body, usage)), usage=True, format="OpenInference"),
    "OpenInference, columns": Log(lambda body, usage: {f"attributes.{key}": value for key, value in openinference(body, usage).items()}, usage=True, format="OpenInference"),
    "MLflow": Log(mlflow, usage=True, format="MLflow"),
    "Weave": Log(weave, usage=True, format="Weave"),
    "Braintrust": Log(braintrust, ("top_k", "metadata", "user"), usage=True, format="Braintrust"),
    "PostHog": Log(posthog, ("top_k", "seed", "logit_bias", "response_format", "tool_choice", "store", "metadata", "user", "logprobs", "top_logprobs", "service_tier", "stream_options", "reasoning_effort"), usage=True, format="PostHog"),
    "Datadog LLM Observability": Log(datadog_llm, ("top_k", "tools"), usage=True, format="Datadog LLM Observability"),
    "structlog": Log(lambda body, usage: {"event": "call", "level": "info", "timestamp": WHEN, "request": body, "usage": usage}, usage=True),
    "structlog, another key": Log(lambda body, usage: {"openai_request": body, "event": "call", "level": "info", "timestamp": WHEN}),
    "structlog, flat": Log(lambda body, usage: {**body, "event": "call", "level": "info", "timestamp": WHEN, "order": 7}, ("top_k",)),
    "python-json-logger": Log(lambda body, usage: {"asctime": WHEN, "levelname": "INFO", "name": "shop", "message": text(body)}),
    "loguru": Log(lambda body, usage: {"text": "call\n", "record": {"level": {"name": "INFO"}, "message": "call", "extra": {"llm": {"kwargs": body}}}}),
    "CloudWatch": Log(lambda body, usage: {"timestamp": 1, "message": text({"body": body, "usage": usage}), "ingestionTime": 2}, usage=True),
    "CloudWatch, export": Log(lambda body, usage: f"{WHEN} {text({'body': body, 'usage': usage})}", usage=True),
    "CloudWatch, subscription": Log(subscription, usage=True),
    "CloudWatch, Insights": Log(insights, usage=True),
    "Google Cloud": Log(lambda body, usage: {"insertId": "1", "severity": "INFO", "jsonPayload": {"llm": body}, "httpRequest": {"requestUrl": "/chat"}}, format="Google Cloud Logging"),
    "Google Cloud, text": Log(lambda body, usage: {"insertId": "1", "severity": "INFO", "textPayload": f"INFO: {text(body)}"}, format="Google Cloud Logging"),
    "Datadog": Log(lambda body, usage: {"id": "1", "type": "log", "attributes": {"service": "shop", "attributes": {"http.body": body}, "message": "call"}}),
    "Azure": Log(lambda body, usage: {"time": WHEN, "category": "GatewayLogs", "properties": {"method": "POST", "backendRequestBody": text(body)}}),
    "Azure, records": Log(lambda body, usage: {"records": [{"time": WHEN, "properties": {"BackendRequestBody": text(body)}}]}),
    "Docker": Log(lambda body, usage: {"log": text(body) + "\n", "stream": "stdout", "time": WHEN}),
    "Elasticsearch": Log(lambda body, usage: {"hits": {"hits": [{"_index": "i", "_source": {"message": text(body)}}]}}),
    "Helicone": Log(lambda body, usage: {"request_id": "1", "request_path": URL, "request_body": body, "response_body": answer(body, usage)}, usage=True),
    "HAR": Log(har, usage=True),
    "a VCR cassette": Log(vcr, usage=True),
    "an array": Log(lambda body, usage: [{"request": body, "response": answer(body, usage)}], usage=True),
}  # fmt: skip
