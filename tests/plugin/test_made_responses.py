"""Responses made from Chat replies fit the SDK's types, and translate back to the same reply."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import ValidationError

from adapter._exchange.stream import StreamTranslator
from adapter._util.sse import Decoder
from adapter.testing.responses_from_chat import EventsFromChunks, is_completion, make_response
from adapter.translation.replies.response_to_chat import response_to_completion
from adapter.translation.types import PathMap, ReplyContext
from tests.support.corpus import Part, each_part, needs_corpus, select, sse_bytes, sse_events
from tests.support.depth import examples

Json = dict[str, Any]

EVENTS = {
    cls.model_fields["type"].annotation.__args__[0]: cls
    for cls in get_args(get_args(ResponseStreamEvent)[0])
}
"""The SDK's events by their type."""
SHORT, LONG = 20, 200  # events: longer streams test nothing new, and are slow
AUDIO = "audio"  # a call with audio stays on Chat


def asked_of(request: Json | None) -> ReplyContext:
    """Return the reply context of a recorded request."""
    request = request or {}
    return ReplyContext(
        model=request.get("model") or "",
        stream=bool(request.get("stream")),
        include_usage=bool((request.get("stream_options") or {}).get("include_usage")),
        logprobs=bool(request.get("logprobs")),
        legacy_functions="functions" in request,
    )


def said(message: Json) -> Json:
    """Return the parts of a message that both APIs have; empty text beside other parts is None."""
    calls = [
        {key: call.get(key) for key in ("id", "type", "function", "custom")}
        for call in message.get("tool_calls") or ()
    ]
    something = calls or message.get("refusal") or message.get("function_call")
    return {
        "content": message.get("content") or (None if something else ""),
        "refusal": message.get("refusal") or None,
        "annotations": message.get("annotations") or [],
        "function_call": message.get("function_call"),
        "tool_calls": calls,
    }


def ended(finish: str | None, message: Json, asked: ReplyContext) -> str:
    """Return the expected finish reason: by the tool calls, whatever a server writes."""
    if finish in ("length", "content_filter"):
        return finish
    called = bool(message.get("tool_calls") or message.get("function_call"))
    return "stop" if not called else "function_call" if asked.legacy_functions else "tool_calls"


def counted(usage: Json | None) -> Json | None:
    """Return a usage without the zeros that Chat always writes."""
    if usage is None:
        return None
    flat = {
        key: {k: v for k, v in value.items() if v} if isinstance(value, dict) else value
        for key, value in usage.items()
    }
    return {key: value for key, value in flat.items() if value not in ({}, None)}


def expected(completion: Json, asked: ReplyContext) -> Json:
    """Return the parts of a completion that must be equal, natively and translated."""
    choice = completion["choices"][0]
    message = choice["message"]
    given_id = completion["id"]
    logprobs = (choice.get("logprobs") or {}).get("content") if asked.logprobs else None
    return {
        "id": given_id if given_id.startswith("chatcmpl-") else f"chatcmpl-{given_id}",
        **{key: completion.get(key) for key in ("created", "model", "service_tier", "moderation")},
        "usage": counted(completion.get("usage")),
        "finish": ended(choice.get("finish_reason"), message, asked),
        "logprobs": logprobs or None,
        **said(message),
    }


@needs_corpus
@each_part
def test_a_recorded_completion_comes_back(part: Part) -> None:
    recordings = [
        one for one in select(api="chat", stream=False, part=part) if is_completion(one.response)
    ]
    for one in recordings:
        if one.response["choices"][0]["message"].get(AUDIO):
            continue
        before = json.dumps(one.response)
        made = make_response(one.response)
        assert json.dumps(one.response) == before
        assert not wrong(Response.model_validate, made), one.id
        asked = asked_of(one.request)
        back = response_to_completion(made, asked).body
        assert expected(back, asked) == expected(one.response, asked), one.id
    assert len(recordings) > 100


def wrong(check: Any, made: Json) -> list[Any]:
    """List the errors of validation, except for usage details that servers or SDKs lack."""
    try:
        check(made)
    except ValidationError as error:
        details = ("input_tokens_details", "output_tokens_details", "cache_write_tokens")
        return [one["loc"] for one in error.errors() if not {*one["loc"]} & {*details}]
    return []


def streamed(pieces: Iterable[bytes], asked: ReplyContext) -> tuple[bytes, list[Json]]:
    """Translate a stream in both directions; return the events between, and the final chunks."""
    machine, relay, frames = (
        EventsFromChunks(),
        StreamTranslator(asked._replace(stream=True), PathMap()),
        [],
    )
    between = []
    for piece in (*pieces, None):
        for made in machine.close() if piece is None else machine.feed(piece):
            between.append(made)
            frames += relay.feed(made)
    frames += relay.close()
    chunks = [
        json.loads(event.data)
        for event in Decoder().feed(relay.encode(frames))
        if event.data != b"[DONE]"
    ]
    return b"".join(between), chunks


def put_together(chunks: Iterable[Json]) -> Json:
    """Return a completion of the first choice of a stream."""
    top: Json = {"id": "", "choices": []}
    message: Json = {"content": "", "refusal": "", "annotations": []}
    calls: dict[int, Json] = {}
    choice: Json = {"message": message, "finish_reason": None, "logprobs": {"content": []}}
    for chunk in chunks:
        top |= {
            key: chunk[key]
            for key in ("id", "model", "service_tier", "usage")
            if chunk.get(key) and not (key == "id" and top["id"])
        }
        for one in chunk.get("choices") or ():
            if one.get("index"):
                continue
            choice["finish_reason"] = one.get("finish_reason") or choice["finish_reason"]
            choice["logprobs"]["content"] += (one.get("logprobs") or {}).get("content") or []
            delta = one.get("delta") or {}
            for key in ("content", "refusal"):
                message[key] += delta.get(key) or ""
            message["annotations"] += delta.get("annotations") or []
            if delta.get("function_call"):
                joined(message.setdefault("function_call", {}), delta["function_call"])
            for call in delta.get("tool_calls") or ():
                kept = calls.setdefault(call["index"], {})
                kept |= {key: call[key] for key in ("id", "type") if call.get(key)}
                for kind in ("function", "custom"):
                    if call.get(kind):
                        joined(kept.setdefault(kind, {}), call[kind])
    return top | {"choices": [choice | {"message": message | {"tool_calls": list(calls.values())}}]}


def joined(kept: Json, more: Json) -> None:
    """Put the pieces of a call together."""
    for key, value in more.items():
        kept[key] = kept.get(key, "") + (value or "")


@needs_corpus
@each_part
def test_a_recorded_stream_comes_back(part: Part) -> None:
    count = 0
    for one in select(api="chat", stream=True, part=part):
        native = [data for _, data in one.sse or () if isinstance(data, dict)]
        if (
            len(native) > LONG
            or AUDIO in ((one.request or {}).get("modalities") or ())
            or any("error" in chunk for chunk in native)
        ):
            continue
        asked = asked_of(one.request)
        between, chunks = streamed([sse_bytes(one)], asked)
        if len(native) < SHORT:
            assert streamed(sse_events(one), asked) == (between, chunks), one.id
        seen: set[str] = set()
        for number, event in enumerate(Decoder().feed(between)):
            made = json.loads(event.data)
            assert (made["type"], made["sequence_number"]) == (event.name, number)
            if made["type"] not in seen:  # one of each type is enough
                seen.add(made["type"])
                assert not wrong(EVENTS[made["type"]].model_validate, made), (one.id, made)
        want = expected(put_together(native), asked)
        found = expected(put_together(chunks), asked)
        if not asked.include_usage:  # some servers send it all the same
            want.pop("usage"), found.pop("usage")
        assert found == want, one.id
        count += 1
    assert count > 30


# Generated replies

_TEXTS = st.text(max_size=12)
_CALLS = st.lists(
    st.tuples(st.sampled_from(["f", "g"]), st.text(alphabet='{}":a1 é', max_size=8), st.booleans()),
    max_size=3,
)
_ENDS = st.sampled_from(["stop", "length", "content_filter", "tool_calls", None, "something else"])


@st.composite
def completions(draw: st.DrawFn) -> Json:
    """Draw a completion: text, refusal, calls, or several of these; with fields left out."""
    calls = [
        {"id": f"call_{n}", "type": "custom", "custom": {"name": name, "input": written}}
        if custom
        else {
            "id": f"call_{n}",
            "type": "function",
            "function": {"name": name, "arguments": written},
        }
        for n, (name, written, custom) in enumerate(draw(_CALLS))
    ]
    message: Json = {"content": draw(st.none() | _TEXTS), "refusal": draw(st.none() | _TEXTS)}
    message |= {"tool_calls": calls} if calls else {}
    return {
        "id": "chatcmpl-x",
        "created": draw(st.integers(1, 2**40)),
        "model": draw(st.sampled_from(["gpt-4o", "m"])),
        "choices": [{"message": message, "finish_reason": draw(_ENDS)}],
        **(
            {"usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}}
            if draw(st.booleans())
            else {}
        ),
    }


@settings(max_examples=examples(60))
@given(completions())
def test_a_generated_completion_comes_back(completion: Json) -> None:
    asked = ReplyContext(model="gpt-4o")
    back = response_to_completion(make_response(completion), asked).body
    assert expected(back, asked) == expected(completion, asked)


@st.composite
def streams(draw: st.DrawFn) -> tuple[Json, list[bytes]]:
    """Draw a completion and its stream: texts in pieces, calls mixed or in order, cut anywhere."""
    completion = draw(completions())
    choice = completion["choices"][0]
    deltas: list[Json] = [{"role": "assistant", "content": None}]
    for key in ("content", "refusal"):
        deltas += [{key: piece} for piece in pieces_of(draw, choice["message"][key] or "")]
    written = []
    for index, call in enumerate(choice["message"].get("tool_calls") or ()):
        kind, key = ("custom", "input") if call["type"] == "custom" else ("function", "arguments")
        deltas.append({"tool_calls": [{**call, "index": index, kind: {**call[kind], key: ""}}]})
        written.append(
            [
                {"tool_calls": [{"index": index, kind: {key: piece}}]}
                for piece in pieces_of(draw, call[kind][key])
            ]
        )
    while any(written):  # each in order, interleaved with the others
        deltas.append(draw(st.sampled_from([one for one in written if one])).pop(0))
    top = {key: completion[key] for key in ("id", "created", "model")}
    chunks = [
        {**top, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]}
        for delta in deltas
    ]
    chunks.append(
        {**top, "choices": [{"index": 0, "delta": {}, "finish_reason": choice["finish_reason"]}]}
    )
    if "usage" in completion:
        chunks.append({**top, "choices": [], "usage": completion["usage"]})
    raw = (
        b"".join(b"data: " + json.dumps(chunk).encode() + b"\n\n" for chunk in chunks)
        + b"data: [DONE]\n\n"
    )
    cuts = sorted(draw(st.lists(st.integers(0, len(raw)), max_size=4)))
    return completion, [raw[a:b] for a, b in zip([0, *cuts], [*cuts, len(raw)], strict=True)]


def pieces_of(draw: st.DrawFn, text: str) -> list[str]:
    """Cut a text into pieces."""
    at = draw(st.integers(0, len(text)))
    return [piece for piece in (text[:at], text[at:]) if piece]


@settings(max_examples=examples(60))
@given(streams())
def test_a_generated_stream_comes_back(made: tuple[Json, list[bytes]]) -> None:
    completion, pieces = made
    asked = ReplyContext(model="gpt-4o", stream=True, include_usage=True)
    back = put_together(streamed(pieces, asked)[1])
    want, found = expected(completion, asked), expected(back, asked)
    assert found | {"created": 0} == want | {"created": 0}


LEFT_OUT: dict[str, tuple[Json, list[tuple[str, str, str]]]] = {
    "ids": (
        {
            "tool_calls": [
                {"function": {"name": "f", "arguments": "1"}},
                {"function": {"name": "g", "arguments": "2"}},
            ]
        },
        [("call_mock_0", "f", "1"), ("call_mock_1", "g", "2")],
    ),
    "other indexes than one for each": (
        {
            "tool_calls": [
                {"index": 0, "id": "a", "function": {"name": "f", "arguments": "1"}},
                {
                    "index": 0,
                    "id": "b",
                    "custom": None,
                    "function": {"name": "g", "arguments": "2"},
                },
            ]
        },
        [("a", "f", "1"), ("b", "g", "2")],
    ),
    "types": (
        {"tool_calls": [{"id": "a", "function": {"name": "f", "arguments": ""}}]},
        [("a", "f", "")],
    ),
    "arguments": (
        {"tool_calls": [{"id": "a", "type": "function", "function": {"name": "f"}}]},
        [("a", "f", "")],
    ),
    "the text of arguments": (
        {"tool_calls": [{"id": "a", "function": {"name": "f", "arguments": {"b": 1}}}]},
        [("a", "f", '{"b": 1}')],
    ),
    "what is no call": (
        {"tool_calls": [None, "x", {"id": "a", "function": {"name": "f", "arguments": ""}}]},
        [("a", "f", "")],
    ),
}


@pytest.mark.parametrize(("message", "calls"), LEFT_OUT.values(), ids=LEFT_OUT.keys())
def test_what_mocks_leave_out_of_calls(message: Json, calls: list[tuple[str, str, str]]) -> None:
    body = response_to_completion(
        make_response({"choices": [{"message": message}]}), ReplyContext()
    ).body
    made = body["choices"][0]["message"]["tool_calls"]
    assert [
        (one["id"], one["function"]["name"], one["function"]["arguments"]) for one in made
    ] == calls


ODD: list[Any] = [
    None,
    [],
    "x",
    1,
    True,
    {},
    {"choices": None},
    {"choices": [None]},
    {"choices": [{}]},
    {"choices": [{"message": 1}]},
    {"choices": [{"message": {"content": 1, "tool_calls": 1, "annotations": 1}}]},
    {
        "choices": [{"delta": {"tool_calls": {}, "function_call": 1}, "logprobs": 1}],
        "usage": 1,
        "moderation": 1,
        "id": 1,
    },
    {
        "choices": [{"finish_reason": [], "content_filter_results": 1}],
        "prompt_filter_results": [1],
        "created": "x",
    },
]


@pytest.mark.parametrize("odd", ODD, ids=map(str, range(len(ODD))))
def test_malformed_replies_do_not_crash(odd: Any) -> None:
    if is_completion(odd):
        json.dumps(make_response(odd))
    machine = EventsFromChunks()
    assert isinstance(
        machine.feed(b"data: " + json.dumps(odd).encode() + b"\n\n") + machine.close(), list
    )
