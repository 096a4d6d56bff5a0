"""Calls, and answers to them, that exercise most of the translation."""

from __future__ import annotations

from typing import Any

from tests.support.answers import (
    Sdk,
    both,
    call_item,
    delta,
    error,
    event,
    message_item,
    opening,
    response,
)
from tests.support.loopback import Reply, Request

PNG = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
FILE = {"type": "file", "file": {"file_id": "file_1"}}
TEXT = {"type": "text", "text": "What is it?"}
FUNCTION = {"name": "get_weather", "parameters": {"type": "object", "properties": {}}}
CUSTOM = {
    "type": "custom",
    "custom": {
        "name": "run",
        "format": {"type": "grammar", "grammar": {"syntax": "lark", "definition": "a"}},
    },
}
HISTORY = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": [TEXT, PNG, FILE]},
    {"role": "assistant", "content": [{"type": "text", "text": "Let me see."}], "refusal": None, "tool_calls": [
        {"id": "call_" + "x" * 80, "type": "function", "function": {"name": "get_weather", "arguments": "{}"}},
        {"id": "call_b", "type": "custom", "custom": {"name": "run", "input": "x"}},
    ]},
    {"role": "tool", "tool_call_id": "call_" + "x" * 80, "content": "4 degrees"},
    {"role": "tool", "tool_call_id": "call_b", "content": [{"type": "text", "text": "done"}]},
    {"role": "assistant", "content": "Cold.", "refusal": "No.", "annotations": []},
    {"role": "user", "content": "And now?"},
]  # fmt: skip
SCHEMA = {"type": "json_schema", "json_schema": {"name": "s", "schema": {"type": "object"}}}
RICH: dict[str, Any] = {
    "messages": HISTORY, "tools": [{"type": "function", "function": FUNCTION}, CUSTOM], "response_format": SCHEMA, "logprobs": True,
    "top_logprobs": 2, "max_tokens": 8, "metadata": {"a": "b"}, "store": True, "verbosity": "low", "seed": 7,
    "tool_choice": {"type": "function", "function": {"name": "get_weather"}}, "extra_body": {"include": ["x"], "text": {"own": 1}},
    "web_search_options": {"user_location": {"type": "approximate", "approximate": {"city": "Oslo"}}},
}  # fmt: skip
LEGACY: dict[str, Any] = {
    "messages": [
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": None, "function_call": {"name": "get_weather", "arguments": "{}"}},
        {"role": "function", "name": "get_weather", "content": "4"},
    ],
    "functions": [FUNCTION], "function_call": {"name": "get_weather"},
}  # fmt: skip
PLAIN: dict[str, Any] = {"messages": [{"role": "user", "content": "hi"}]}
USAGE_TOO = {
    "stream": True,
    "stream_options": {"include_usage": True, "include_obfuscation": False},
}
ALLOWED = {
    "type": "allowed_tools",
    "allowed_tools": {
        "mode": "auto",
        "tools": [{"type": "function", "function": {"name": "get_weather"}}],
    },
}
CALLS: dict[str, dict[str, Any]] = {
    "plain": PLAIN,
    "plain stream": PLAIN | {"stream": True},
    "rich": RICH,
    "rich stream": RICH | USAGE_TOO,
    "legacy": LEGACY,
    "legacy stream": LEGACY | USAGE_TOO,
    "cut": PLAIN | {"stop": ["zzz", "H"]},
    "cut stream": PLAIN | {"stop": "H"} | USAGE_TOO,
    "several": PLAIN | {"n": 2},
    "several stream": PLAIN | {"n": 2} | USAGE_TOO,
    "allowed tools": PLAIN
    | {"tools": RICH["tools"], "tool_choice": ALLOWED, "response_format": {"type": "json_object"}},
}
FAILING = {"error body": PLAIN, "failed": PLAIN, "error event": PLAIN | {"stream": True}}
STORED = {"retrieve": {}, "delete": {}, "messages": {}}
ALL = {**CALLS, **FAILING, **STORED}

CITATION = {
    "type": "url_citation",
    "url": "https://x.invalid",
    "title": "t",
    "start_index": 0,
    "end_index": 2,
}
LOGPROB = {"token": "Hi", "bytes": [72, 105], "logprob": -0.1, "top_logprobs": []}


def _rich_item(text: str, phase: str | None = None) -> dict[str, Any]:
    part = {"type": "output_text", "text": text, "annotations": [CITATION], "logprobs": [LOGPROB]}
    return message_item(text) | {
        "content": [part, {"type": "refusal", "refusal": "No."}],
        "phase": phase,
    }


CALL = call_item() | {
    "call_id": "call_4hRkXw0ZqT7bNf2LmC9sVdYp"
}  # not guessable: the turn is remembered
CUSTOM_CALL = {
    "type": "custom_tool_call",
    "id": "ctc_1",
    "call_id": "call_2",
    "name": "run",
    "input": "abc",
}
OUTPUT = [{"type": "reasoning", "id": "rs_1", "summary": []}, _rich_item("Thinking.", "commentary"), _rich_item("Hi"), CALL,
          CUSTOM_CALL, {"type": "web_search_call", "id": "ws_1"}]  # fmt: skip
MODERATION = {
    "input": {"type": "moderation_result", "flagged": False},
    "output": {"type": "moderation_result", "flagged": False},
}
WHOLE = response(*OUTPUT, moderation=MODERATION, service_tier="default", metadata={"a": "b"})


def _stream() -> list[bytes]:
    parts = opening()[:2]
    for index, item in enumerate(OUTPUT):
        bare = {**item, "content": [], "arguments": "", "input": ""}
        parts.append(
            event(
                "response.output_item.added",
                output_index=index,
                item={k: v for k, v in bare.items() if k in item},
            )
        )
        if item["type"] == "message":
            text, refusal = item["content"]
            at: dict[str, Any] = {"output_index": index, "content_index": 0}
            parts += [
                event("response.content_part.added", **at, part=text | {"text": ""}),
                event("response.output_text.delta", **at, delta=text["text"], logprobs=[LOGPROB]),
                event("response.output_text.annotation.added", **at, annotation=CITATION),
                event("response.output_text.done", **at, text=text["text"]),
                event("response.content_part.done", **at, part=text),
                event(
                    "response.content_part.added",
                    output_index=index,
                    content_index=1,
                    part=refusal | {"refusal": ""},
                ),
                event("response.refusal.delta", output_index=index, content_index=1, delta="No."),
                event("response.refusal.done", output_index=index, content_index=1, refusal="No."),
            ]
        elif item["type"] == "function_call":
            parts.append(
                event("response.function_call_arguments.delta", output_index=index, delta='{"city"')
            )
            parts.append(
                event(
                    "response.function_call_arguments.done",
                    output_index=index,
                    arguments=item["arguments"],
                )
            )
        elif item["type"] == "custom_tool_call":
            parts.append(
                event("response.custom_tool_call_input.delta", output_index=index, delta="a")
            )
            parts.append(
                event("response.custom_tool_call_input.done", output_index=index, input="abc")
            )
        parts.append(event("response.output_item.done", output_index=index, item=item))
    return [*parts, event("response.completed", response=WHOLE)]


STREAM = _stream()
FAILED = {"code": "server_error", "message": "It broke.", "param": "input[0].content[0]"}


def answer(request: Request) -> Reply:
    """Answer richly, or with the error that the header names."""
    if request.method == "DELETE":
        return Reply.of_json({"id": "resp_1", "object": "response", "deleted": True})
    if request.method == "GET":
        items = {
            "object": "list",
            "data": [message_item(), call_item(), CUSTOM_CALL],
            "has_more": False,
        }
        return Reply.of_json(items if request.path.endswith("/input_items") else WHOLE)
    if not request.path.endswith("/responses"):
        return both(request)
    wish = request.header("x-wish")
    if wish == "error body":
        return error(400, "some_code", param="input[0].content")
    if wish == "failed":
        return Reply.of_json(response(status="failed", error=FAILED) | {"output": []})
    if wish == "error event":
        return Reply.of_sse([*opening(), delta("Hi"), event("error", **FAILED)])
    return Reply.of_sse(STREAM) if request.json().get("stream") else Reply.of_json(WHOLE)


def call(one: Sdk, client: Any, name: str, model: str = "gpt-4o") -> Any:
    """Make a call and read its reply to the end."""
    if name in STORED:
        completions = client.chat.completions
        return one.run(
            (completions.messages.list if name == "messages" else getattr(completions, name))(
                "chatcmpl-resp_1"
            )
        )
    more = ALL[name]
    made = one.create(client, **{"model": model, **more}, extra_headers={"x-wish": name})
    return one.list(made) if more.get("stream") else made
