"""Bad input gets Chat's own answer, or an error that begins with the JSON path.

Chat's answer is the one to the untouched request. Bad input is never translated in part.
"""

from __future__ import annotations

import json
from typing import Any

import openai
import pytest

import adapter
from tests.support.answers import CALL, CHAT, Sdk, Settings, both, error, paths, same_request, sdk
from tests.support.http import http, needs_raw_posts
from tests.support.loopback import Loopback, Reply, Request

__all__ = ["sdk"]

USER = {"role": "user", "content": "hi"}
TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
POLICIES: list[Any] = ["chat", "error", "drop"]
RESPONSES_ONLY = "o3-pro"
ROOTS = ("$", "messages", "tools", "tool_choice", "functions", "function_call", "response_format", "stream_options", "logprobs",
         "max_tokens", "max_completion_tokens", "model", "input", "max_output_tokens")  # fmt: skip


def body(**more: Any) -> dict[str, Any]:
    return {"model": "gpt-4o", "messages": [USER], **more}


def messages(*made: Any) -> dict[str, Any]:
    return body(messages=[USER, *made])


def assistant(**more: Any) -> dict[str, Any]:
    return messages({"role": "assistant", "content": None, **more})


# Invalid as a Chat Completions request, for any server.
BAD: dict[str, Any] = {
    "no messages": {"model": "gpt-4o"},
    "messages null": body(messages=None),
    "messages a string": body(messages="hi"),
    "messages an object": body(messages=USER),
    "messages a number": body(messages=5),
    "messages empty": body(messages=[]),
    "message a string": messages("hi"),
    "message null": messages(None),
    "message a list": messages([USER]),
    "no role": messages({"content": "hi"}),
    "role a number": messages({"role": 5, "content": "hi"}),
    "role a list": messages({"role": ["user"], "content": "hi"}),
    "unknown role": messages({"role": "wizard", "content": "hi"}),
    "content a number": messages({"role": "user", "content": 5}),
    "content an object": messages({"role": "user", "content": {"type": "text", "text": "x"}}),
    "content null": messages({"role": "user", "content": None}),
    "no content": messages({"role": "user"}),
    "part a string": messages({"role": "user", "content": ["hi"]}),
    "part without type": messages({"role": "user", "content": [{"text": "x"}]}),
    "part type a list": messages({"role": "user", "content": [{"type": ["text"], "text": "x"}]}),
    "part type an object": messages({"role": "user", "content": [{"type": {"a": 1}}]}),
    "unknown part": messages({"role": "user", "content": [{"type": "hologram", "data": "x"}]}),
    "text part without text": messages({"role": "user", "content": [{"type": "text"}]}),
    "text a number": messages({"role": "user", "content": [{"type": "text", "text": 5}]}),
    "image without url": messages({"role": "user", "content": [{"type": "image_url", "image_url": {}}]}),
    "image a number": messages({"role": "user", "content": [{"type": "image_url", "image_url": 5}]}),
    "file empty": messages({"role": "user", "content": [{"type": "file", "file": {}}]}),
    "unknown assistant part": messages({"role": "assistant", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}),
    "refusal a number": assistant(refusal=5),
    "tool calls a string": assistant(tool_calls="x"),
    "tool calls an object": assistant(tool_calls={"id": "x"}),
    "tool call a string": assistant(tool_calls=["x"]),
    "tool call without id": assistant(tool_calls=[{"type": "function", "function": {"name": "f", "arguments": ""}}]),
    "tool call without function": assistant(tool_calls=[{"id": "c", "type": "function"}]),
    "tool call without name": assistant(tool_calls=[{"id": "c", "type": "function", "function": {"arguments": "{}"}}]),
    "tool call, name a number": assistant(tool_calls=[{"id": "c", "type": "function", "function": {"name": 5, "arguments": ""}}]),
    "tool call, arguments an object": assistant(tool_calls=[{"id": "c", "type": "function", "function": {"name": "f", "arguments": {}}}]),
    "tool call of unknown type": assistant(tool_calls=[{"id": "c", "type": "spell", "spell": {}}]),
    "tool call, type a list": assistant(tool_calls=[{"id": "c", "type": ["function"], "function": {"name": "f", "arguments": ""}}]),
    "function call a string": assistant(function_call="f"),
    "tool result without id": messages({"role": "tool", "content": "x"}),
    "tool result, id a number": messages({"role": "tool", "content": "x", "tool_call_id": 5}),
    "function result without call": messages({"role": "function", "name": "f", "content": "x"}),
    "tools a string": body(tools="f"),
    "tools an object": body(tools={"type": "function"}),
    "tool a string": body(tools=["f"]),
    "tool null": body(tools=[None]),
    "tool without type": body(tools=[{"function": {"name": "f"}}]),
    "tool, type a list": body(tools=[{"type": ["function"]}]),
    "tool without function": body(tools=[{"type": "function"}]),
    "tool without name": body(tools=[{"type": "function", "function": {"parameters": {}}}]),
    "tool, name a number": body(tools=[{"type": "function", "function": {"name": 5}}]),
    "custom tool without name": body(tools=[{"type": "custom", "custom": {}}]),
    "tool choice a number": body(tools=[TOOL], tool_choice=5),
    "tool choice without name": body(tools=[TOOL], tool_choice={"type": "function"}),
    "functions a string": body(functions="f"),
    "function without name": body(functions=[{"parameters": {}}]),
    "function call without name": body(functions=[{"name": "f"}], function_call={}),
    "format a string": body(response_format="json"),
    "format of unknown type": body(response_format={"type": "xml"}),
    "format without schema": body(response_format={"type": "json_schema"}),
    "format, type a list": body(response_format={"type": ["json_schema"]}),
    "stream options a string": body(stream=True, stream_options="usage"),
    "logprobs a string": body(logprobs="yes"),
    "input beside messages": body(input="hi"),
}  # fmt: skip

# Not even JSON, or not an object.
RAW: dict[str, bytes] = {
    "nothing": b"",
    "text": b"hello",
    "half": b'{"model": "gpt-4o", "messages": [{"role": "us',
    "bad utf-8": b'{"model": "\xff\xfe"}',
    "huge number": b'{"model": "gpt-4o", "seed": ' + b"9" * 5000 + b"}",
    "nested deep": b'{"model": "gpt-4o", "messages": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "nan": b'{"model": "gpt-4o", "messages": [{"role": "user", "content": "x"}], "temperature": NaN}',
    "a list": b"[1, 2]",
    "a string": b'"hello"',
    "null": b"null",
    "a number": b"17",
}


def chat_says_no(request: Request) -> Reply:
    return error(400, "chats_own", param="chats_own")


def settled(server: Loopback, raised: openai.APIStatusError, sent: bytes) -> str:
    """Return which API answered, having asserted that the answer is complete."""
    assert isinstance(raised, openai.BadRequestError)
    if raised.code == "chats_own":
        (request,) = server.requests
        assert request.path == CHAT
        assert request.body == sent
        assert request.header("x-adapter-backend") is None
        return "chat"
    assert server.requests == []
    assert isinstance(raised.body, dict)
    path = raised.body["message"].partition(": ")[0]
    assert path.replace("[", ".").split(".")[0] in ROOTS, raised.body
    assert " " not in path
    assert raised.param == path
    return "adapter"


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("model", ["gpt-4o", RESPONSES_ONLY])
@pytest.mark.parametrize("case", BAD)
def test_bad_bodies(sdk: Sdk, loopback: Loopback, case: str, model: str, policy: Any) -> None:
    loopback.answer = chat_says_no
    given = {**BAD[case], "model": model}
    client = sdk.client(loopback, Settings(backend="responses", unsupported=policy))
    with pytest.raises(openai.APIStatusError) as raised:
        sdk.run(client.post("/chat/completions", cast_to=object, body=given))
    sent = json.dumps(given, separators=(",", ":")).encode()
    who = settled(loopback, raised.value, sent)
    assert who == "adapter" or model != RESPONSES_ONLY, "a Responses-only model went to Chat"


@needs_raw_posts
@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("case", RAW)
def test_bad_bytes(sdk: Sdk, loopback: Loopback, case: str, policy: Any) -> None:
    loopback.answer = chat_says_no
    client = sdk.client(loopback, Settings(backend="responses", unsupported=policy))
    with pytest.raises(openai.APIStatusError) as raised:
        sdk.run(client.post("/chat/completions", cast_to=object, content=RAW[case]))
    settled(loopback, raised.value, RAW[case])


@pytest.mark.parametrize("case", RAW)
def test_bad_bytes_through_a_transport_alone(loopback: Loopback, case: str) -> None:
    loopback.answer = chat_says_no
    with http.Client(
        transport=adapter.Transport(settings=Settings(backend="responses"))
    ) as http_client:
        got = http_client.post(f"{loopback.base_url}/chat/completions", content=RAW[case])
    assert got.status_code == 400
    if got.json()["error"]["code"] == "chats_own":
        assert [(request.path, request.body) for request in loopback.requests] == [
            (CHAT, RAW[case])
        ]
    else:
        assert loopback.requests == []
        assert got.json()["error"]["message"].startswith("$: ")


@pytest.mark.parametrize(
    "case", ["messages a string", "tool without name", "unknown role", "unknown part"]
)
def test_bad_bodies_through_a_transport_alone(loopback: Loopback, case: str) -> None:
    loopback.answer = chat_says_no
    given = json.dumps(BAD[case]).encode()
    with http.Client(
        transport=adapter.Transport(settings=Settings(backend="responses"))
    ) as http_client:
        got = http_client.post(f"{loopback.base_url}/chat/completions", content=given)
    assert got.status_code == 400
    assert [(request.path, request.body) for request in loopback.requests] in ([], [(CHAT, given)])


def test_a_form_or_an_empty_post(loopback: Loopback) -> None:
    loopback.answer = chat_says_no
    url = f"{loopback.base_url}/chat/completions"
    with http.Client(
        transport=adapter.Transport(settings=Settings(backend="responses"))
    ) as http_client:
        http_client.post(url)
        http_client.post(url, data={"a": "b"})
        http_client.post(url, files={"file": b"x"})
    assert paths(loopback) == [CHAT] * 3
    assert [request.body[:3] for request in loopback.requests] == [
        b"",
        b"a=b",
        b"--" + loopback.requests[2].body[2:3],
    ]


def test_bad_values_of_parameters_are_sent_unchanged(sdk: Sdk, loopback: Loopback) -> None:
    """Values of parameters with the same name on both APIs are left to the service to validate."""
    loopback.answer = lambda request: error(400, "services_own", param="temperature")
    client = sdk.client(loopback)
    with pytest.raises(openai.BadRequestError) as raised:
        sdk.create(client, temperature="hot")
    assert raised.value.param == "temperature"
    assert loopback.requests[0].json()["temperature"] == "hot"


def test_tools_of_the_other_api_are_sent_unchanged(sdk: Sdk, loopback: Loopback) -> None:
    loopback.answer = both
    given: Any = {
        "tools": [TOOL, {"type": "web_search", "filters": {"a": [1]}}],
        "tool_choice": {"type": "web_search"},
    }
    sdk.create(sdk.client(loopback), **given)
    sent = loopback.requests[0].json()
    assert sent["tools"][1] == given["tools"][1]
    assert sent["tool_choice"] == given["tool_choice"]


# The header


@pytest.mark.parametrize("backend", ["chat", "responses"])
@pytest.mark.parametrize(
    "value", ["", "Responses", "chat ", "both", "1", "chat, responses", "force-chat", "native"]
)
def test_a_header_with_another_value(
    sdk: Sdk, loopback: Loopback, value: str, backend: Any
) -> None:
    loopback.answer = both
    sdk.create(sdk.client(loopback, backend), extra_headers={"x-adapter-backend": value})
    assert paths(loopback) == [{"chat": CHAT, "responses": "/v1/responses"}[backend]]
    assert loopback.requests[0].header("x-adapter-backend") is None


@pytest.mark.parametrize("value", [5, True, ["chat"], {"a": "b"}])
def test_a_header_that_is_no_string_is_the_sdks_own_error(
    sdk: Sdk, loopback: Loopback, value: Any
) -> None:
    kinds = []
    for plain in (True, False):
        try:
            sdk.create(
                sdk.client(loopback, plain=plain), extra_headers={"x-adapter-backend": value}
            )
        except Exception as raised:  # noqa: BLE001 - whichever it is, it has to be the same
            kinds.append(type(raised))
    assert len(kinds) == 2
    assert kinds[0] is kinds[1]
    assert loopback.requests == []


def test_a_header_that_is_left_out(sdk: Sdk, loopback: Loopback) -> None:
    loopback.answer = both
    client = sdk.client(loopback, "responses", default_headers={"x-adapter-backend": "chat"})
    sdk.create(client, extra_headers={"x-adapter-backend": openai.Omit()})
    assert paths(loopback) == ["/v1/responses"]


# Values that can't be written as JSON


def cyclic_message() -> Any:
    message: dict[str, Any] = {"role": "user"}
    message["content"] = [{"type": "text", "text": "x", "more": message}]
    return {"messages": [message]}


def cyclic_extra() -> Any:
    extra: dict[str, Any] = {}
    extra["self"] = extra
    return {"extra_body": {"mine": extra}}


def cyclic_tools() -> Any:
    schema: dict[str, Any] = {"type": "object"}
    schema["properties"] = {"again": schema}
    return {"tools": [{"type": "function", "function": {"name": "f", "parameters": schema}}]}


UNWRITABLE: dict[str, Any] = {
    "cyclic message": cyclic_message,
    "cyclic extra": cyclic_extra,
    "cyclic tools": cyclic_tools,
    "an object": lambda: {"messages": [{"role": "user", "content": object()}]},
    "not a number": lambda: {"temperature": float("nan")},
}


@pytest.mark.parametrize("case", UNWRITABLE)
def test_what_json_cannot_hold_is_the_sdks_own_error(
    sdk: Sdk, loopback: Loopback, case: str
) -> None:
    loopback.answer = both
    seen = []
    for plain in (True, False):
        with pytest.raises(Exception) as raised:  # noqa: PT011 - any, but the same
            sdk.create(sdk.client(loopback, plain=plain), **UNWRITABLE[case]())
        seen.append((type(raised.value), str(raised.value)[:60]))
    assert seen[0] == seen[1]
    assert loopback.requests == []


@needs_raw_posts
def test_lone_surrogates_are_sent(sdk: Sdk, loopback: Loopback) -> None:
    """Strings that JSON can represent and UTF-8 can't are sent as they were written.

    The SDK or the caller may have written them.
    """
    loopback.answer = both
    content = json.dumps({**CALL, "messages": [{"role": "user", "content": "\ud83d"}]}).encode()
    sdk.run(sdk.client(loopback).post("/chat/completions", cast_to=object, content=content))
    assert loopback.requests[0].json()["input"][0]["content"] == "\ud83d"


@needs_raw_posts
def test_untouched_is_untouched(sdk: Sdk, loopback: Loopback) -> None:
    """A call that is kept on Chat is unchanged to the byte, unusual spellings included."""
    loopback.answer = both
    content = b'{ "seed":\t7, "model":"gpt-4o",  "messages":[{"content":"\\u00e9","role":"user"}], "seed": 8 }'
    for plain in (True, False):
        sdk.run(
            sdk.client(loopback, plain=plain).post(
                "/chat/completions", cast_to=object, content=content
            )
        )
    assert same_request(*loopback.requests)
