"""Call through one tracer that was told to keep contents out, and print what it exported of them.

    python -m tests.frameworks.masking TRACER WAY

Tracers patch the SDK for good, so that each needs a process of its own. WAY says how the client is adapted: `before` and `after` (the
tracer comes before or after `install`), `import` (the adapter's own class), `transport`. The output is JSON: for each backend and call
the names of the spans and the words among them that stood in the call or its answer.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import os
import sys
from collections.abc import Callable
from typing import Any

import openai

import adapter
from tests.frameworks.harness import FAMILY
from tests.support import answers
from tests.support.loopback import Loopback, Reply, Request

WORDS = {
    "system": "zebrasystem", "prompt": "zebraprompt", "tool": "zebratool", "described": "zebradescribed",
    "sent arguments": "zebrasentarguments", "sent output": "zebrasentoutput", "user": "zebrauser", "metadata": "zebrametadata",
    "said": "zebrasaid", "arguments": "zebraarguments",
}  # fmt: skip
BACKENDS = ("native", "chat", "responses")
WAYS = ("before", "after", "import", "transport")

Exported = Callable[[], tuple[list[str], str]]
"""Gives the names of the spans since the last time, and all that was exported, as one text."""


def body() -> dict[str, Any]:
    """Make the arguments of a call that has a word in each place."""
    call = {
        "id": "call_1",
        "type": "function",
        "function": {"name": "look", "arguments": json.dumps({"at": WORDS["sent arguments"]})},
    }
    parameters = {"type": "object", "properties": {"at": {"type": "string", "description": WORDS["described"]}}}
    return {
        "model": "gpt-4o",
        "messages": [
            {"role": "system", "content": WORDS["system"]},
            {"role": "user", "content": WORDS["prompt"]},
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "call_1", "content": WORDS["sent output"]},
        ],
        "tools": [
            {
                "type": "function",
                "function": {"name": "look", "description": WORDS["tool"], "parameters": parameters, "strict": False},
            }
        ],
        "user": WORDS["user"],
        "metadata": {"key": WORDS["metadata"]},
    }


def answer(request: Request) -> Reply:
    """Answer on either API, with a text and a tool call."""
    said, arguments = WORDS["said"], json.dumps({"at": WORDS["arguments"]})
    streamed = request.json().get("stream") is True
    if request.path.endswith("/responses"):
        message, call = answers.message_item(said), answers.call_item("look", arguments)
        if not streamed:
            return Reply.of_json(answers.response(message, call))
        begun = call | {"status": "in_progress", "arguments": ""}
        return Reply.of_sse(
            [
                *answers.opening(),
                answers.delta(said),
                answers.event("response.output_item.done", output_index=0, item=message),
                answers.event("response.output_item.added", output_index=1, item=begun),
                answers.event(
                    "response.function_call_arguments.delta", output_index=1, item_id="fc_1", delta=arguments
                ),
                answers.event("response.output_item.done", output_index=1, item=call),
                answers.event("response.completed", response=answers.response(message, call)),
            ]
        )
    call = {"id": "call_1", "type": "function", "function": {"name": "look", "arguments": arguments}}
    if not streamed:
        whole = answers.completion(said)
        whole["choices"][0]["message"]["tool_calls"] = [call]
        whole["choices"][0]["finish_reason"] = "tool_calls"
        return Reply.of_json(whole)
    top = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1780000000, "model": "gpt-4o"}
    deltas = [{"role": "assistant", "content": said}, {"tool_calls": [{"index": 0, **call}]}, {}]
    finishes = [None, None, "tool_calls"]
    chunks = [
        {**top, "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}
        for delta, finish in zip(deltas, finishes, strict=True)
    ]
    return Reply.of_sse([*(f"data: {json.dumps(chunk)}\n\n".encode() for chunk in chunks), b"data: [DONE]\n\n"])


# Tracers: each is told to keep contents out; gives what reads its exports, and what wraps a client


def _otel(instrument: Callable[[Any], None]) -> Exported:
    from opentelemetry.sdk._logs import LoggerProvider
    from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    spans, logs, tracers, loggers = (
        InMemorySpanExporter(),
        InMemoryLogRecordExporter(),
        TracerProvider(),
        LoggerProvider(),
    )
    tracers.add_span_processor(SimpleSpanProcessor(spans))
    loggers.add_log_record_processor(SimpleLogRecordProcessor(logs))
    instrument({"tracer_provider": tracers, "logger_provider": loggers})

    def exported() -> tuple[list[str], str]:
        found, said = spans.get_finished_spans(), logs.get_finished_logs()
        spans.clear()
        logs.clear()
        return [span.name for span in found], "\n".join(
            [*(one.to_json() for one in found), *(repr(one) for one in said)]
        )

    return exported


def openinference(_: Loopback) -> tuple[Exported, Any]:
    """OpenInference, of Arize."""
    from openinference.instrumentation import TraceConfig
    from openinference.instrumentation.openai import OpenAIInstrumentor

    config = TraceConfig(hide_inputs=True, hide_outputs=True)
    return _otel(lambda given: OpenAIInstrumentor().instrument(**given, config=config, skip_dep_check=True)), None


def contributors(_: Loopback) -> tuple[Exported, Any]:
    """OpenTelemetry's own."""
    os.environ["OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"] = "NO_CONTENT"
    from opentelemetry.instrumentation.openai_v2 import OpenAIInstrumentor

    return _otel(lambda given: OpenAIInstrumentor().instrument(**given, skip_dep_check=True)), None


def traceloop(_: Loopback) -> tuple[Exported, Any]:
    """OpenLLMetry, of Traceloop."""
    os.environ["TRACELOOP_TRACE_CONTENT"] = "false"
    from opentelemetry.instrumentation.openai import OpenAIInstrumentor

    return _otel(lambda given: OpenAIInstrumentor().instrument(**given, skip_dep_check=True)), None


def logfire(_: Loopback) -> tuple[Exported, Any]:
    """Logfire, which scrubs what matches a pattern, but for the messages."""
    import logfire as library
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    spans = InMemorySpanExporter()
    library.configure(
        send_to_logfire=False,
        console=False,
        additional_span_processors=[SimpleSpanProcessor(spans)],
        scrubbing=library.ScrubbingOptions(extra_patterns=["zebra"]),
    )

    def exported() -> tuple[list[str], str]:
        found = spans.get_finished_spans()
        spans.clear()
        return [span.name for span in found], "\n".join(one.to_json() for one in found)

    def wrap(client: Any) -> Any:
        library.instrument_openai(client)
        return client

    return exported, wrap


def langsmith(server: Loopback) -> tuple[Exported, Any]:
    """LangSmith."""
    os.environ |= {"LANGSMITH_TRACING": "true", "LANGSMITH_API_KEY": "key", "LANGSMITH_ENDPOINT": server.base_url}
    from langsmith import Client
    from langsmith.wrappers import wrap_openai

    client = Client(
        api_url=server.base_url, api_key="key", hide_inputs=True, hide_outputs=True, auto_batch_tracing=False,
        info={"version": "0"},
    )  # fmt: skip

    def exported() -> tuple[list[str], str]:
        client.flush()
        said = [one for one in server.requests if "/runs" in one.path]
        server.requests.clear()
        names = [one.json()["name"] for one in said if one.method == "POST"]
        return names, "\n".join(one.body.decode() for one in said)

    return exported, lambda given: wrap_openai(given, tracing_extra={"client": client})


def langfuse(_: Loopback) -> tuple[Exported, Any]:
    """Langfuse, with a mask."""
    from langfuse import Langfuse
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    spans = InMemorySpanExporter()
    client = Langfuse(
        public_key="pk", secret_key="sk", base_url="http://127.0.0.1:9", tracer_provider=TracerProvider(), span_exporter=spans,
        mask=lambda *, data, **_: "masked" if data else data,
    )  # fmt: skip
    importlib.import_module("langfuse.openai")  # which patches the SDK

    def exported() -> tuple[list[str], str]:
        client.flush()
        found = spans.get_finished_spans()
        spans.clear()
        return [span.name for span in found], "\n".join(one.to_json() for one in found)

    return exported, None


def sentry(_: Loopback) -> tuple[Exported, Any]:
    """Sentry."""
    import sentry_sdk
    from sentry_sdk.integrations.openai import OpenAIIntegration
    from sentry_sdk.transport import Transport

    kept: list[Any] = []

    class Keeping(Transport):
        def capture_envelope(self, envelope: Any) -> None:
            kept.append(envelope)

    sentry_sdk.init(
        dsn="http://key@127.0.0.1:9/1", transport=Keeping, traces_sample_rate=1.0, send_default_pii=False,
        integrations=[OpenAIIntegration(include_prompts=False)], default_integrations=False,
        max_request_body_size="never", include_local_variables=False,
    )  # fmt: skip
    inside: Any = sentry_sdk.start_transaction(name="calls")
    state = {"transaction": inside.__enter__()}

    def exported() -> tuple[list[str], str]:
        state["transaction"].__exit__(None, None, None)
        sentry_sdk.flush()
        text = "\n".join(envelope.serialize().decode() for envelope in kept)
        events = [event for one in kept if (event := one.get_transaction_event()) is not None]
        names = [span.get("description", "") for event in events for span in event["spans"]]
        kept.clear()
        state["transaction"] = sentry_sdk.start_transaction(name="calls").__enter__()
        return names, text

    return exported, None


TRACERS: dict[str, Callable[[Loopback], tuple[Exported, Any]]] = {
    one.__name__: one for one in (openinference, contributors, traceloop, logfire, langsmith, langfuse, sentry)
}


# Calls


def calls(client: Any) -> dict[str, Callable[[], Any]]:
    """List the sync calls."""
    completions, given = client.chat.completions, body()
    strict = {**given, "tools": [{**tool, "function": {**tool["function"], "strict": True}} for tool in given["tools"]]}

    def helper() -> None:
        with completions.stream(**strict) as events:
            list(events)

    return {
        "whole": lambda: completions.create(**given),
        "streamed": lambda: list(completions.create(**given, stream=True)),
        "parsed": lambda: completions.parse(**strict),
        "helper": helper,
        "raw": lambda: completions.with_raw_response.create(**given).parse(),
    }


def acalls(client: Any) -> dict[str, Callable[[], Any]]:
    """List the async calls."""
    completions, given = client.chat.completions, body()
    strict = {**given, "tools": [{**tool, "function": {**tool["function"], "strict": True}} for tool in given["tools"]]}

    async def streamed() -> None:
        async for _ in await completions.create(**given, stream=True):
            pass

    async def helper() -> None:
        async with completions.stream(**strict) as events:
            async for _ in events:
                pass

    async def raw() -> None:
        (await completions.with_raw_response.create(**given)).parse()

    return {
        "whole": lambda: completions.create(**given),
        "streamed": streamed,
        "parsed": lambda: completions.parse(**strict),
        "helper": helper,
        "raw": raw,
    }


class Maker:
    """Make clients, adapted and traced in one way."""

    def __init__(self, way: str, server: Loopback) -> None:
        self.way, self.server = way, server
        self.wrap: Any = None  # how the tracer wraps a client, where it does

    def plain(self, backend: str, *, asynchronous: bool) -> Any:
        """Make a client that is adapted as it is made, or not yet."""
        given: dict[str, Any] = {"base_url": self.server.base_url, "api_key": "key", "max_retries": 0}
        sdk, ours = (openai.AsyncOpenAI, adapter.AsyncOpenAI) if asynchronous else (openai.OpenAI, adapter.OpenAI)
        if backend == "native" or self.way in {"before", "after"}:
            return sdk(**given)
        settings = adapter.Settings(backend=backend, on_bug="raise")
        if self.way == "import":
            return ours(**given, settings=settings)
        if asynchronous:
            http_client = FAMILY.AsyncClient(transport=adapter.AsyncTransport(settings=settings))
        else:
            http_client = FAMILY.Client(transport=adapter.Transport(settings=settings))
        return sdk(**given, http_client=http_client)

    def installed(self, client: Any, backend: str) -> Any:
        """Install the adapter, where that is the way."""
        if backend == "native" or self.way not in {"before", "after"}:
            return client
        return adapter.install(client, adapter.Settings(backend=backend, on_bug="raise"))

    def wrapped(self, client: Any) -> Any:
        """Wrap a client as the tracer does."""
        return client if self.wrap is None else self.wrap(client)


def run(tracer: str, way: str) -> dict[str, Any]:
    """Make all calls and read what was exported."""
    found: dict[str, Any] = {}
    with Loopback(lambda request: Reply.of_json({}) if "/runs" in request.path else answer(request)) as server:
        maker = Maker(way, server)
        made = {(backend, a): maker.plain(backend, asynchronous=a) for backend in BACKENDS for a in (False, True)}
        if way == "after":
            made = {key: maker.installed(client, key[0]) for key, client in made.items()}
        exported, maker.wrap = TRACERS[tracer](server)
        made = {key: maker.wrapped(client) for key, client in made.items()}
        if way == "before":
            made = {key: maker.installed(client, key[0]) for key, client in made.items()}
        exported()

        def note(backend: str, name: str, error: str | None) -> None:
            names, text = exported()
            words = sorted(where for where, word in WORDS.items() if word in text)
            found[f"{backend} {name}"] = {"seen": bool(text), "spans": names, "words": words, "error": error}

        for backend in BACKENDS:
            for name, call in calls(made[backend, False]).items():
                note(backend, name, _error(call))

        async def through() -> None:
            for backend in BACKENDS:
                for name, call in acalls(made[backend, True]).items():
                    try:
                        await call()
                    except Exception as error:  # noqa: BLE001  # a tracer may break a call; natively it does, too, then
                        note(backend, f"async {name}", type(error).__name__)
                    else:
                        note(backend, f"async {name}", None)
                await made[backend, True].close()

        asyncio.run(through())
        for backend in BACKENDS:
            made[backend, False].close()
    return found


def _error(call: Callable[[], Any]) -> str | None:
    try:
        call()
    except Exception as error:  # noqa: BLE001  # see above
        return type(error).__name__
    return None


if __name__ == "__main__":
    json.dump(run(*sys.argv[1:]), sys.stdout)
