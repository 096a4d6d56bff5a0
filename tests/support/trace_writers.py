"""Made-up rows of tracers and gateways: LiteLLM, Langfuse, LangSmith, OpenTelemetry, and others.

Each is a function from a body and its usage, and has the keys that the tools' own writers use.
`…_LEAVES_OUT` are parameters that a tool doesn't log.
"""

from __future__ import annotations

import json
from typing import Any

Json = dict[str, Any]

URL = "https://api.openai.com/v1/chat/completions"
WHEN = "2026-01-02T03:04:05.678Z"


def text(value: Any) -> str:
    """Return JSON as text."""
    return json.dumps(value)


def rest(body: Json, *names: str) -> Json:
    """Return a body without some keys."""
    return {key: value for key, value in body.items() if key not in names}


def answer(body: Json, usage: Json) -> Json:
    """Return the answer to a request."""
    message = {"role": "assistant", "content": "hello"}
    choice = {"index": 0, "finish_reason": "stop", "message": message}
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "model": body["model"],
        "choices": [choice],
        "usage": usage,
    }


def tokens(usage: Json) -> Json:
    """Return a usage under the names of the Responses API and of OpenTelemetry."""
    return {"input_tokens": usage["prompt_tokens"], "output_tokens": usage["completion_tokens"]}


# --- LiteLLM


def litellm(body: Json, usage: Json) -> Json:
    parameters = rest(body, "model", "messages", "metadata")
    return {
        "id": "chatcmpl-1", "call_type": "acompletion", "stream": None, "status": "success", "custom_llm_provider": "openai", **usage,
        "startTime": 1.5, "endTime": 2.5, "model": body["model"], "metadata": {"user_api_key_hash": None, "usage_object": usage},
        "api_base": "https://api.openai.com/v1/", "messages": body["messages"], "response": answer(body, usage),
        "model_parameters": parameters, "hidden_params": {"litellm_model_name": "x"},
    }  # fmt: skip


def litellm_callback(body: Json, usage: Json) -> Json:
    sent = {**rest(body, "top_k"), "extra_body": {key: body[key] for key in body if key == "top_k"}}
    return {
        "model": body["model"], "messages": body["messages"], "optional_params": rest(body, "model", "messages"), "call_type": "completion",
        "litellm_params": {"custom_llm_provider": "openai", "api_base": "https://api.openai.com/v1/"}, "input": body["messages"],
        "additional_args": {"complete_input_dict": sent}, "original_response": text(answer(body, usage)),
    }  # fmt: skip


def litellm_spend(body: Json, usage: Json) -> Json:
    return {
        "request_id": "r", "call_type": "acompletion", "spend": 0.1, **usage, "startTime": WHEN, "model": body["model"],
        "custom_llm_provider": "openai", "api_base": "https://api.openai.com/v1", "metadata": "{}", "messages": text({}),
        "response": text({}), "proxy_server_request": text(body),
    }  # fmt: skip


# --- Langfuse

LANGFUSE_LEAVES_OUT = (
    "stop",
    "tool_choice",
    "logit_bias",
    "stream",
    "store",
    "metadata",
    "logprobs",
    "top_logprobs",
    "user",
    "top_k",
)


def _langfuse_input(body: Json) -> Any:
    return (
        {"tools": body["tools"], "messages": body["messages"]}
        if "tools" in body
        else body["messages"]
    )


def _langfuse_parameters(body: Json) -> Json:
    asked = {
        "temperature": 1,
        "max_tokens": "Infinity",
        "top_p": 1,
        "frequency_penalty": 0,
        "presence_penalty": 0,
    }
    for name in (*asked, "seed", "n", "service_tier", "reasoning_effort", "max_completion_tokens"):
        if name in body:
            asked[name] = str(body[name]) if isinstance(body[name], float) else body[name]
    return asked


def _langfuse_metadata(body: Json) -> Json:
    return {"response_format": body["response_format"]} if "response_format" in body else {}


def langfuse(body: Json, usage: Json) -> Json:
    return {
        "id": "o", "traceId": "t", "type": "GENERATION", "name": "OpenAI-generation", "model": body["model"], "projectId": "p",
        "modelParameters": _langfuse_parameters(body), "input": _langfuse_input(body), "output": {"role": "assistant", "content": "hello"},
        "usage": {"input": 1, "unit": "TOKENS"}, "usageDetails": {"input": usage["prompt_tokens"], "output": usage["completion_tokens"]},
        "metadata": _langfuse_metadata(body), "startTime": WHEN, "level": "DEFAULT",
    }  # fmt: skip


def langfuse_table(body: Json, usage: Json) -> Json:
    """Return its form in exports to blob storage: snake case, and JSON as text."""
    return {
        "id": "o", "trace_id": "t", "type": "GENERATION", "provided_model_name": body["model"], "metadata": text(_langfuse_metadata(body)),
        "model_parameters": text(_langfuse_parameters(body)), "input": text(_langfuse_input(body)), "output": "hello",
        "usage_details": text(tokens(usage)),
    }  # fmt: skip


def langfuse_trace(body: Json, usage: Json) -> Json:
    span = {"id": "s", "traceId": "t", "type": "SPAN", "input": {"messages": body["messages"]}}
    return {"id": "t", "input": body["messages"], "observations": [span, langfuse(body, usage)]}


def langfuse_ingestion(body: Json, usage: Json) -> Json:
    created = {
        "id": "g",
        "traceId": "t",
        **{
            key: langfuse(body, usage)[key]
            for key in ("model", "modelParameters", "input", "metadata")
        },
    }
    return {
        "batch": [
            {
                "id": "1",
                "type": "trace-create",
                "timestamp": WHEN,
                "body": {"id": "t", "input": body["messages"]},
            },
            {
                "id": "2",
                "type": "generation-create",
                "timestamp": WHEN,
                "body": {**created, "usage": usage},
            },
            {
                "id": "3",
                "type": "generation-update",
                "timestamp": WHEN,
                "body": {"id": "g", "output": answer(body, usage)},
            },
        ]
    }


def langfuse_span(body: Json, usage: Json) -> Json:
    observed = {
        "type": "generation", "input": text(_langfuse_input(body)), "model.name": body["model"], "usage_details": text(usage),
        "model.parameters": text(_langfuse_parameters(body)),
        **{f"metadata.{key}": text(value) for key, value in _langfuse_metadata(body).items()},
    }  # fmt: skip
    return otlp_span({f"langfuse.observation.{key}": value for key, value in observed.items()})


# --- LangSmith


def langsmith(body: Json, usage: Json) -> Json:
    counts = {"input_tokens": usage["prompt_tokens"], "output_tokens": usage["completion_tokens"]}
    return {
        "id": "r", "name": "ChatOpenAI", "run_type": "llm", "trace_id": "t", "dotted_order": "d", "inputs": {**rest(body, "top_k"),
        "extra_body": {key: body[key] for key in body if key == "top_k"}}, "outputs": {**rest(answer(body, usage), "usage"), "usage_metadata": counts},
        "extra": {"metadata": {"ls_provider": "openai", "ls_model_type": "chat", "ls_model_name": body["model"]}},
    }  # fmt: skip


def langchain_message(message: Json) -> Json:
    """Return a message in LangChain's serialisation."""
    role = message["role"]
    kind, name = {"user": ("human", "HumanMessage"), "assistant": ("ai", "AIMessage"), "system": ("system", "SystemMessage"),
                  "tool": ("tool", "ToolMessage")}[role]  # fmt: skip
    kwargs: Json = {"content": message.get("content") or "", "type": kind}
    for key in ("name", "tool_call_id"):
        if key in message:
            kwargs[key] = message[key]
    if "tool_calls" in message:
        kwargs["tool_calls"] = [
            {
                "name": call["function"]["name"],
                "args": json.loads(call["function"]["arguments"]),
                "id": call["id"],
                "type": "tool_call",
            }
            for call in message["tool_calls"]
        ]
    return {
        "lc": 1,
        "type": "constructor",
        "id": ["langchain", "schema", "messages", name],
        "kwargs": kwargs,
    }


def langchain(body: Json, usage: Json) -> Json:
    asked = {
        **rest(body, "messages"),
        "model_name": body["model"],
        "_type": "openai-chat",
        "stop": body.get("stop"),
    }
    inputs = {"messages": [[langchain_message(message) for message in body["messages"]]]}
    outputs = {"generations": [[{"text": "hello"}]], "llm_output": {"token_usage": usage}}
    metadata = {"ls_provider": "openai", "ls_model_name": body["model"]}
    extra = {"invocation_params": asked, "options": {"stop": None}, "metadata": metadata}
    return {
        "id": "r",
        "run_type": "llm",
        "trace_id": "t",
        "inputs": inputs,
        "outputs": outputs,
        "extra": extra,
    }


# --- OpenTelemetry


def any_value(value: Any) -> Json:
    """Return a value in OTLP's JSON form."""
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int):
        return {"intValue": str(value)}
    if isinstance(value, float):
        return {"doubleValue": value}
    if isinstance(value, list):
        return {"arrayValue": {"values": [any_value(one) for one in value]}}
    if isinstance(value, dict):
        return {
            "kvlistValue": {
                "values": [{"key": key, "value": any_value(one)} for key, one in value.items()]
            }
        }
    return {"stringValue": str(value)}


def otlp_span(attributes: Json) -> Json:
    pairs = [{"key": key, "value": any_value(value)} for key, value in attributes.items()]
    other = {
        "name": "GET",
        "attributes": [{"key": "http.request.method", "value": {"stringValue": "GET"}}],
    }
    span = {"traceId": "t", "spanId": "s", "name": "chat", "kind": 3, "attributes": pairs}
    resource = {"attributes": [{"key": "service.name", "value": {"stringValue": "shop"}}]}
    return {
        "resourceSpans": [
            {"resource": resource, "scopeSpans": [{"scope": {"name": "x"}, "spans": [other, span]}]}
        ]
    }


def sdk_span(attributes: Json) -> Json:
    return {
        "name": "chat", "context": {"trace_id": "0x1", "span_id": "0x2"}, "kind": "SpanKind.CLIENT", "status": {"status_code": "UNSET"},
        "attributes": attributes, "events": [], "links": [], "resource": {"attributes": {"service.name": "shop"}},
    }  # fmt: skip


GENAI_LEAVES_OUT = (
    "top_k", "logit_bias", "stream_options", "user", "logprobs", "top_logprobs", "store", "metadata", "tool_choice", "name",
    "max_completion_tokens",
)  # fmt: skip


def _genai_parts(message: Json) -> Json:
    content = message.get("content")
    parts: list[Json] = [{"type": "text", "content": content}] if isinstance(content, str) else []
    for part in content if isinstance(content, list) else ():
        if part["type"] == "text":
            parts.append({"type": "text", "content": part["text"]})
        else:
            parts.append({"type": "uri", "modality": "image", "uri": part["image_url"]["url"]})
    if message["role"] == "tool":
        parts = [{"type": "tool_call_response", "id": message["tool_call_id"], "response": content}]
    for call in message.get("tool_calls", ()):
        arguments = json.loads(call["function"]["arguments"])
        parts.append(
            {
                "type": "tool_call",
                "id": call["id"],
                "name": call["function"]["name"],
                "arguments": arguments,
            }
        )
    return {"role": message["role"], "parts": parts}


def genai(body: Json, usage: Json) -> Json:
    """Return the attributes of a span by the conventions for generative AI."""
    named = {"n": "choice.count", "stop": "stop_sequences"}
    plain = (
        "temperature",
        "top_p",
        "max_tokens",
        "seed",
        "frequency_penalty",
        "presence_penalty",
        "stream",
        "reasoning_effort",
    )
    out = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "server.address": "api.openai.com",
    }
    out |= {
        f"gen_ai.request.{named.get(key, key)}": body[key]
        for key in ("model", *plain, *named)
        if key in body
    }
    if "tools" in body:
        out["gen_ai.tool.definitions"] = text(
            [{"type": "function", **tool["function"]} for tool in body["tools"]]
        )
    if "response_format" in body:
        out["openai.request.response_format"] = body["response_format"]["type"]
    if "service_tier" in body:
        out["openai.request.service_tier"] = body["service_tier"]
    return out | {f"gen_ai.usage.{key}": value for key, value in tokens(usage).items()}


def genai_messages(body: Json, usage: Json) -> Json:
    system = [
        part
        for one in body["messages"]
        if one["role"] == "system"
        for part in _genai_parts(one)["parts"]
    ]
    messages = [_genai_parts(one) for one in body["messages"] if one["role"] != "system"]
    instructions = {"gen_ai.system_instructions": text(system)} if system else {}
    return {**genai(body, usage), **instructions, "gen_ai.input.messages": text(messages)}


def genai_record(body: Json, usage: Json) -> Json:
    attributes = {
        key: json.loads(value) if "messages" in key else value
        for key, value in genai_messages(body, usage).items()
    }
    record = {"eventName": "gen_ai.client.inference.operation.details", "timeUnixNano": "1", "body": {},
              "attributes": [{"key": key, "value": any_value(value)} for key, value in attributes.items()]}  # fmt: skip
    message = {"eventName": "gen_ai.user.message", "body": any_value({"content": "hi"}),
               "attributes": [{"key": "gen_ai.system", "value": {"stringValue": "openai"}}]}  # fmt: skip
    return {"resourceLogs": [{"scopeLogs": [{"logRecords": [message, record]}]}]}


def genai_events(body: Json, usage: Json) -> Json:
    events = []
    for message in body["messages"]:
        fields = {"gen_ai.system": "openai", "gen_ai.event.content": text(message)}
        events.append(
            {"name": f"gen_ai.{message['role']}.message", "timestamp": WHEN, "attributes": fields}
        )
    choice = {"name": "gen_ai.choice", "attributes": {"index": 0, "message": "hello"}}
    return {**sdk_span(genai(body, usage)), "events": [*events, choice]}


def genai_prompt_event(body: Json, usage: Json) -> Json:
    event = {
        "name": "gen_ai.content.prompt",
        "attributes": {"gen_ai.prompt": text(body["messages"])},
    }
    return {**sdk_span(genai(body, usage)), "events": [event]}


def numbered(prefix: str, value: Any) -> Json:
    """Spread a value over attributes: `prefix.0.role`."""
    if isinstance(value, dict):
        return {
            key: one
            for name, inner in value.items()
            for key, one in numbered(f"{prefix}.{name}", inner).items()
        }
    if isinstance(value, list):
        return {
            key: one
            for i, inner in enumerate(value)
            for key, one in numbered(f"{prefix}.{i}", inner).items()
        }
    return {} if value is None else {prefix: value}


def traceloop(body: Json, usage: Json) -> Json:
    attributes = {
        "llm.request.type": "chat",
        "gen_ai.system": "OpenAI",
        "llm.is_streaming": body.get("stream", False),
    }
    for i, message in enumerate(body["messages"]):
        content = message.get("content")
        attributes |= {
            f"gen_ai.prompt.{i}.role": message["role"],
            f"gen_ai.prompt.{i}.content": content
            if isinstance(content, str)
            else text(content)
            if content
            else "",
        }
        if "tool_call_id" in message:
            attributes[f"gen_ai.prompt.{i}.tool_call_id"] = message["tool_call_id"]
        for j, call in enumerate(message.get("tool_calls", ())):
            attributes |= numbered(
                f"gen_ai.prompt.{i}.tool_calls.{j}", {"id": call["id"], **call["function"]}
            )
    for i, tool in enumerate(body.get("tools", ())):
        function = tool["function"]
        attributes |= numbered(
            f"llm.request.functions.{i}", {**function, "parameters": text(function["parameters"])}
        )
    return sdk_span(
        {
            **rest(
                genai(body, usage),
                "gen_ai.operation.name",
                "gen_ai.tool.definitions",
                "gen_ai.provider.name",
            ),
            **attributes,
        }
    )


def openinference(body: Json, usage: Json) -> Json:
    """Return a span's attributes by OpenInference's conventions, without the whole request."""
    messages = []
    for message in body["messages"]:
        out = {key: message[key] for key in ("role", "name", "tool_call_id") if key in message}
        content = message.get("content")
        if isinstance(content, list):
            out["contents"] = [
                {"message_content": {"type": "text", "text": part["text"]} if part["type"] == "text"
                 else {"type": "image", "image": {"image": {"url": part["image_url"]["url"]}}}}
                for part in content
            ]  # fmt: skip
        else:
            out["content"] = content
        if "tool_calls" in message:
            out["tool_calls"] = [
                {"tool_call": {"id": call["id"], "function": call["function"]}}
                for call in message["tool_calls"]
            ]
        messages.append({"message": out})
    tools = [{"tool": {"json_schema": text(tool)}} for tool in body.get("tools", ())]
    return {
        "openinference.span.kind": "LLM", "llm.system": "openai", "llm.provider": "openai", "llm.model_name": body["model"],
        "llm.invocation_parameters": text(rest(body, "messages", "tools", "top_k") | ({"extra_body": {"top_k": 5}} if "top_k" in body else {})),
        **numbered("llm.input_messages", messages), **numbered("llm.tools", tools),
        "llm.token_count.prompt": usage["prompt_tokens"], "llm.token_count.completion": usage["completion_tokens"],
    }  # fmt: skip


def openinference_whole(body: Json, usage: Json) -> Json:
    return {
        **openinference(body, usage),
        "input.mime_type": "application/json",
        "input.value": text(body),
    }


def mlflow(body: Json, usage: Json) -> Json:
    attributes = {
        "mlflow.spanType": '"CHAT_MODEL"', "mlflow.spanInputs": text(body), "mlflow.spanOutputs": text(answer(body, usage)),
        "mlflow.chat.tokenUsage": text(tokens(usage)),
    }  # fmt: skip
    return {
        "info": {"trace_id": "t"},
        "data": {"spans": [{"name": "Completions", "attributes": attributes}]},
    }


# --- other tracers


def weave(body: Json, usage: Json) -> Json:
    inputs = {"self": {"client": {"base_url": "https://api.openai.com/v1/"}}, **rest(body, "top_k"), "timeout": "NOT_GIVEN",
              "extra_body": {key: body[key] for key in body if key == "top_k"}}  # fmt: skip
    return {"id": "c", "op_name": "weave:///e/p/op/openai.chat.completions.create:abc", "inputs": inputs, "attributes": {"weave": {}},
            "output": answer(body, usage)}  # fmt: skip


def braintrust(body: Json, usage: Json) -> Json:
    return {
        "id": "b", "span_attributes": {"type": "llm", "name": "Chat Completion"}, "input": body["messages"], "output": [{"index": 0}],
        "metadata": {"provider": "openai", **rest(body, "messages", "metadata", "user")}, "metrics": {"start": 1.5, **usage, "tokens": 9},
    }  # fmt: skip


def posthog(body: Json, usage: Json) -> Json:
    asked = (
        "temperature",
        "max_tokens",
        "max_completion_tokens",
        "top_p",
        "frequency_penalty",
        "presence_penalty",
        "n",
        "stop",
        "stream",
    )
    return {
        "event": "$ai_generation", "distinct_id": "d", "timestamp": WHEN,
        "properties": {
            "$ai_provider": "openai", "$ai_model": body["model"], "$ai_input": body["messages"], "$ai_http_status": 200,
            "$ai_model_parameters": {key: body[key] for key in asked if key in body}, "$ai_base_url": "https://api.openai.com/v1/",
            "$ai_input_tokens": usage["prompt_tokens"], "$ai_output_tokens": usage["completion_tokens"],
            **({"$ai_tools": body["tools"]} if "tools" in body else {}),
        },
    }  # fmt: skip


def datadog_llm(body: Json, usage: Json) -> Json:
    metadata = {
        key: value for key, value in body.items() if key not in ("messages", "model", "tools")
    }
    meta = {
        "kind": "llm",
        "input": {"messages": body["messages"]},
        "metadata": metadata,
        "model_name": body["model"],
        "model_provider": "openai",
    }
    return {"name": "OpenAI.createChatCompletion", "meta": meta, "metrics": tokens(usage)}
