"""Requests with one shape have one verdict, the same as each has by itself."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adapter import Settings
from adapter._util import fast_json
from adapter.tools.audit.shapes import shape_of
from adapter.tools.audit.verdicts import Classifier
from adapter.tools.logs.rows import LoggedRequest, unwrap
from tests.support import corpus
from tests.support.strategies import chat_requests, texts

slow = settings(
    suppress_health_check=[
        HealthCheck.too_slow,
        HealthCheck.filter_too_much,
        HealthCheck.data_too_large,
    ]
)

SETTINGS = {
    "neutral": Settings(),
    "all dropped and emulated": Settings(
        unsupported="drop", emulate=("n", "name", "stop", "web_search_options")
    ),
    "errors, but for some": Settings(
        unsupported="error", drop=("seed", "name", "max_tokens"), emulate=("n",)
    ),
    "rules": Settings(
        rules=(
            {"match": {"model": "gpt-4*", "stream": True}, "drop": ["seed"]},
            {"match": {"tools": True}, "unsupported": "drop", "model": "gpt-audio"},
            {"match": {"format": ["json_schema"]}, "emulate": ["stop"]},
        )
    ),
}
REMEMBERING = {name: Classifier(one) for name, one in SETTINGS.items()}
PLAIN = {name: Classifier(one, plain=True) for name, one in SETTINGS.items()}


def agree(body: Any, raw_path: bytes = b"/v1/chat/completions") -> None:
    for name in SETTINGS:
        logged = LoggedRequest(body, raw_path)
        assert REMEMBERING[name].classify(logged) == PLAIN[name].classify(logged), name


@slow
@given(chat_requests(wild=True))
def test_any_request(body: dict[str, Any]) -> None:
    agree(body)


# Few keys and values, so that similar shapes occur, with different orders and repetitions.
_odd = st.sampled_from([
    None, True, False, 0, 0.0, 1, 1.0, -1, 15, 16, 200, "", "none", "low", "auto", [], {}, ["text"],
    ["audio"], [""], {"type": "function"}, {"type": "text"}, [{}], [None], {"a": None},
    {"include_usage": True},
])  # fmt: skip
_part = st.sampled_from([
    {"type": "text", "text": "x"}, {"type": "text", "text": 1},
    {"type": "image_url", "image_url": {"url": "u"}}, {"type": "image_url", "image_url": "u"},
    {"type": "image_url", "image_url": {}}, {"type": "file", "file": {"file_id": "f"}},
    {"type": "file", "file": {"file_id": None}},
    {"type": "input_audio", "input_audio": {}}, {"type": "x"}, {"type": []},
    {"type": "refusal", "refusal": "r"}, {"type": "text", "text": "x", "more": 1},
    {"type": "text", "text": "x", "prompt_cache_breakpoint": {}},
    {"type": "text", "text": "x", "cache_control": {}}, 1,
    {"type": "image_url", "image_url": {"url": "u", "cache_control": {}}},
])  # fmt: skip
_call = st.sampled_from([
    {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}},
    {"id": "b", "function": {"name": "f", "arguments": None}},
    {"id": "a", "type": "custom", "custom": {"name": "f", "input": "x"}},
    {"id": "b", "function": {"name": "f", "arguments": "", "more": 1}, "more": 1},
    {"id": "c", "type": "custom", "custom": {"name": "f", "input": "x"}}, {"id": "d", "type": "x"},
    {"id": 1}, {"id": "e", "type": "custom"}, 1,
])  # fmt: skip
_message = st.fixed_dictionaries(
    {
        "role": st.sampled_from(
            ["system", "user", "assistant", "tool", "function", "developer", "x", None]
        )
    },
    optional={
        "content": st.one_of(st.sampled_from([None, "", "x", 1, []]), st.lists(_part, max_size=3)),
        "name": st.sampled_from(["f", "g", "", None, 1]),
        "tool_calls": st.one_of(st.sampled_from([None, [], 1]), st.lists(_call, max_size=3)),
        "function_call": st.sampled_from(
            [None, {"name": "f", "arguments": "{}"}, {"name": "g", "arguments": ""}, {"name": 1}, 1]
        ),
        "tool_call_id": st.sampled_from(["a", "c", None, 1]),
        "refusal": st.sampled_from([None, "r", 1]),
        "audio": st.sampled_from([None, {"id": "a"}]),
        "extra": st.sampled_from([None, 1]),
    },
)
_tool = st.sampled_from([
    {"type": "function", "function": {"name": "f"}}, {"type": "function", "function": {"name": 1}},
    {"type": "function", "name": "f"},
    {"type": "custom", "custom": {"name": "f", "format": {"type": "grammar"}}},
    {"type": "web_search"}, {"type": 1}, {"type": "function"}, 1,
    {"type": "function", "function": {"name": "f", "more": 1}},
    {"type": "function", "function": {"name": "f"}, "name": "f", "strict": True},
    {"type": "function", "function": {"name": "f"}, "name": "g", "cache_control": {}},
    {"type": "custom", "custom": {"name": "f"}, "more": 1},
])  # fmt: skip
_NAMES = (
    "n", "stop", "seed", "max_tokens", "max_completion_tokens", "frequency_penalty", "logit_bias",
    "logprobs", "top_logprobs", "modalities", "response_format", "stream", "stream_options",
    "store", "tool_choice", "functions", "function_call", "reasoning_effort", "web_search_options",
    "include", "reasoning", "text", "input", "more",
)  # fmt: skip


@slow
@given(
    st.sampled_from(["gpt-4o", "gpt-5.4", "gpt-5.6-sol", "gpt-audio", "o1-pro", None, 1]),
    st.one_of(_odd, st.lists(st.one_of(_message, _odd), max_size=5)),
    st.dictionaries(st.sampled_from(_NAMES), _odd, max_size=5),
    st.one_of(st.none(), _odd, st.lists(_tool, max_size=3)),
)
def test_odd_requests_of_few_pieces(
    model: Any, messages: Any, more: dict[str, Any], tools: Any
) -> None:
    agree(
        {
            "model": model,
            "messages": messages,
            **more,
            **({} if tools is None else {"tools": tools}),
        }
    )


CALL_A = {"id": "a", "function": {"name": "f", "arguments": ""}}


def message(**more: Any) -> dict[str, Any]:
    return {"role": "user", "content": "x", **more}


CHOICE = {"type": "function", "function": {"name": "f"}}
NEIGHBOURS: dict[str, tuple[Any, Any]] = {
    "an audio part that keeps a call on Chat": ([message(content=[{"type": "input_audio"}])],
        [message(name="a"), message(content=[{"type": "input_audio"}])]),
    "0 and false": ({"frequency_penalty": 0}, {"frequency_penalty": False}),
    "1 and true and 1.0": ({"n": 1}, {"n": True}),
    "1 and 1.0": ({"n": 1}, {"n": 1.0}),
    "15 and 16 tokens": ({"max_tokens": 15}, {"max_tokens": 16}),
    "128 and 129 choices": ({"n": 128}, {"n": 129}),
    "4 and 5 stops": ({"stop": ["a"] * 4}, {"stop": ["a"] * 5}),
    "an empty stop": ({"stop": ["a", ""]}, {"stop": ["a", "b"]}),
    "another function": (
        [message(role="assistant", function_call={"name": "f", "arguments": ""}),
            message(role="function", name="f")],
        [message(role="assistant", function_call={"name": "f", "arguments": ""}),
            message(role="function", name="g")],
    ),
    "a tool choice without a name": ({"tool_choice": CHOICE},
        {"tool_choice": {"type": "function", "function": {}}}),
    "an allowed tool without one": (
        {"tool_choice": {"type": "allowed_tools",
            "allowed_tools": {"mode": "auto", "tools": [CHOICE]}}},
        {"tool_choice": {"type": "allowed_tools",
            "allowed_tools": {"mode": "auto",
                "tools": [CHOICE, {"type": "function", "function": {}}]}}},
    ),
    "a schema, and none": (
        {"response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": {}}}},
        {"response_format": {"type": "json_schema", "json_schema": {"name": "a"}}},
    ),
    "an option of streams": ({"stream_options": {"include_usage": True}},
        {"stream_options": {"other": True}}),
    "an id that repeats": (
        [message(), message(role="assistant", tool_calls=[CALL_A]),
            message(role="assistant", tool_calls=[{**CALL_A, "id": "b"}])],
        [message(), message(role="assistant", tool_calls=[CALL_A]),
            message(role="assistant", tool_calls=[CALL_A])],
    ),
    "a key repeated with the same value": (
        {"tools": [{"type": "function", "function": {"name": "f"}, "name": "f"}]},
        {"tools": [{"type": "function", "function": {"name": "f"}, "name": "g"}]},
    ),
    "a cache breakpoint": ([message(content=[{"type": "text", "text": "x"}])],
        [message(content=[{"type": "text", "text": "x", "cache_control": {}}])]),
    "Azure's data": ({"data_sources": None}, {"data_sources": []}),
    "more modalities": ({"modalities": ["text"]}, {"modalities": ["text", "audio"]}),
}  # fmt: skip


@pytest.mark.parametrize("name", NEIGHBOURS)
def test_another_verdict_means_another_shape(name: str) -> None:
    bodies: list[dict[str, Any]] = []
    for one in NEIGHBOURS[name]:
        rest = {"messages": one} if isinstance(one, list) else {"messages": [message()], **one}
        bodies.append({"model": "gpt-5.4", **rest})
    first, second = bodies
    assert any(
        PLAIN[key].classify(LoggedRequest(first)) != PLAIN[key].classify(LoggedRequest(second))
        for key in SETTINGS
    ), "no neighbours"
    assert shape_of(first, b"", "") != shape_of(second, b"", "")
    agree(first)
    agree(second)


@given(st.lists(texts, min_size=2, max_size=2, unique=True))
def test_user_data_is_not_in_a_shape(words: list[str]) -> None:
    shapes = [
        shape_of(
            {
                "model": "m",
                "messages": [
                    {"role": "user", "content": word + "."},
                    {
                        "role": "assistant",
                        "tool_calls": [
                            {
                                "id": "." + word,
                                "function": {"name": "." + word, "arguments": "." + word},
                            }
                        ],
                    },
                    {
                        "role": "tool",
                        "tool_call_id": "." + word,
                        "content": [{"type": "text", "text": "." + word}],
                    },
                ],
                "user": word + ".",
                "metadata": {"." + word: word},
                "tools": [
                    {
                        "type": "function",
                        "function": {"name": "." + word, "parameters": {"properties": {word: {}}}},
                    }
                ],
            },
            b"",
            "",
        )
        for word in words
    ]
    assert shapes[0] == shapes[1]


@given(st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner,
        max_size=3), max_leaves=8,
))  # fmt: skip
def test_json_is_read_as_in_production(value: Any) -> None:
    for ascii_only in (True, False):
        written = json.dumps(value, ensure_ascii=ascii_only)
        try:
            data = written.encode()
        except UnicodeEncodeError:
            continue
        assert fast_json.loads(data) == json.loads(data) == value


@corpus.needs_corpus
@pytest.mark.parametrize("name", SETTINGS)
def test_recorded_requests(name: str) -> None:
    shapes = set()
    for recording in corpus.select(api="chat", ok=None):
        logged = unwrap({"path": recording.path, "request": recording.request})
        if isinstance(logged, LoggedRequest):
            assert REMEMBERING[name].classify(logged) == PLAIN[name].classify(logged), recording.id
            shapes.add(shape_of(logged.body, logged.raw_path, logged.host))
    assert 100 < len(shapes) < 1_200
