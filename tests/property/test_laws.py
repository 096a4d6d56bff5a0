"""Properties that hold for every request and every answer."""

from __future__ import annotations

import copy
import json
from typing import Any

from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from adapter.errors import MalformedRequest, Unsupported
from adapter.translation import (
    ChunksFromEvents,
    Policy,
    ReplyContext,
    chat_to_responses,
    response_to_completion,
)
from tests.support import oracle
from tests.support.depth import examples
from tests.support.openapi import available as document_available
from tests.support.openapi import problems_of_openapi_body
from tests.support.strategies import arguments, chat_requests, conversations, extend, texts
from tests.support.typeddicts import needs_current_types, problems_of_responses_body
from tests.support.ways_in import routing_fields_lead

slow = settings(
    suppress_health_check=[
        HealthCheck.too_slow,
        HealthCheck.filter_too_much,
        HealthCheck.data_too_large,
    ]
)


def problems(body: dict[str, Any]) -> list[str]:
    return problems_of_responses_body(body) + (
        problems_of_openapi_body(body) if document_available() else []
    )


@needs_current_types
@settings(slow, max_examples=examples(200))
@given(chat_requests())
def test_any_request_is_held_or_translated_to_a_valid_one(body: dict[str, Any]) -> None:
    before = copy.deepcopy(body)
    translation = chat_to_responses(body)
    assert body == before, "the caller's body was changed"
    assert chat_to_responses(copy.deepcopy(body)) == translation
    assert (translation.body is None) == bool(translation.held)
    if translation.body is not None:
        assert json.dumps(translation.body) == json.dumps(chat_to_responses(before).body)
        assert routing_fields_lead(translation.body)
        assert problems(translation.body) == []


@needs_current_types
@settings(slow, max_examples=examples(50))
@given(chat_requests())
def test_dropped_values_have_entries_and_the_body_is_valid(body: dict[str, Any]) -> None:
    held = chat_to_responses(body).held
    try:
        translation = chat_to_responses(body, Policy("drop"))
    except (Unsupported, MalformedRequest):
        assert held
        return
    assert translation.body is not None or translation.held[0].path == "messages"
    if translation.body is not None:
        assert problems(translation.body) == []
        entered = {entry.path for entry in translation.losses}
        assert {entry.path for entry in held} <= entered, "something was dropped without an entry"


@settings(slow, max_examples=examples(50))
@given(chat_requests(wild=True))
def test_contradictory_requests_never_crash(body: dict[str, Any]) -> None:
    translation = chat_to_responses(body)
    assert (translation.body is None) == bool(translation.held)


KEYS = [
    "role", "content", "type", "text", "tool_calls", "id", "function", "name", "arguments",
    "tool_call_id", "x",
]  # fmt: skip
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=4)
    ),
    max_leaves=12,
)


@settings(slow, max_examples=examples(50))
@given(json_values, json_values, json_values)
def test_garbage_is_held_with_a_path(messages: Any, tools: Any, choice: Any) -> None:
    body = {"model": "m", "messages": messages, "tools": tools, "tool_choice": choice}
    before = copy.deepcopy(body)
    translation = chat_to_responses(body)
    assert body == before
    assert (translation.body is None) == bool(translation.held)
    assert all(entry.path for entry in translation.held)


@settings(slow, max_examples=examples(50))
@given(conversations(), st.data())
def test_a_longer_conversation_begins_with_the_shorter_one(
    messages: list[dict[str, Any]], data: st.DataObject
) -> None:
    longer = data.draw(extend(messages))
    policy = Policy("drop")
    bodies = []
    for history in (messages, longer):
        try:
            bodies.append(chat_to_responses({"model": "m", "messages": history}, policy).body)
        except (Unsupported, MalformedRequest):
            assume(False)
    first, second = bodies
    assume(first is not None)
    count = len(first["input"])
    assert json.dumps(second["input"][:count]) == json.dumps(first["input"])
    assert len(second["input"]) > count


# Answers: random output items, as a result and as a stream.

_part = st.one_of(
    st.builds(lambda text: {"type": "output_text", "text": text, "annotations": []}, texts),
    st.builds(lambda text: {"type": "refusal", "refusal": text}, texts),
)
_message = st.builds(
    lambda parts, phase: {
        "type": "message",
        "role": "assistant",
        "content": parts,
        **({"phase": phase} if phase else {}),
    },
    st.lists(_part, max_size=3),
    st.sampled_from([None, "commentary", "final_answer"]),
)
_call = st.builds(
    lambda text, custom: (
        {"type": "custom_tool_call", "name": "t", "input": text}
        if custom
        else {"type": "function_call", "name": "f", "arguments": text}
    ),
    arguments,
    st.booleans(),
)
_reasoning = st.just({"type": "reasoning", "summary": []})
_items = st.lists(st.one_of(_message, _call, _reasoning), max_size=5)


def render(items: list[dict[str, Any]], cut: int) -> list[dict[str, Any]]:
    """Return a stream's events in the form of the service, with deltas of `cut` characters."""
    events: list[dict[str, Any]] = [
        {"type": "response.created", "response": {"id": "resp_1", "created_at": 1, "model": "m"}}
    ]
    for i, item in enumerate(items):
        at = {"output_index": i}
        empty = {
            "message": {"content": []},
            "function_call": {"arguments": ""},
            "custom_tool_call": {"input": ""},
        }
        events.append(
            {"type": "response.output_item.added", "item": item | empty.get(item["type"], {}), **at}
        )
        for p, part in enumerate(item.get("content", ())):
            key = "text" if part["type"] == "output_text" else "refusal"
            name = f"response.{'output_text' if key == 'text' else 'refusal'}"
            where = {**at, "content_index": p}
            events.append(
                {"type": "response.content_part.added", "part": part | {key: ""}, **where}
            )
            events += [
                {"type": f"{name}.delta", "delta": piece, **where}
                for piece in pieces(part[key], cut)
            ]
            events.append({"type": f"{name}.done", key: part[key], **where})
            events.append({"type": "response.content_part.done", "part": part, **where})
        for key, name in (
            ("arguments", "function_call_arguments"),
            ("input", "custom_tool_call_input"),
        ):
            if key in item:
                events += [
                    {"type": f"response.{name}.delta", "delta": piece, **at}
                    for piece in pieces(item[key], cut)
                ]
                events.append({"type": f"response.{name}.done", key: item[key], **at})
        events.append({"type": "response.output_item.done", "item": item, **at})
    return events


def pieces(text: str, cut: int) -> list[str]:
    return [text[start : start + cut] for start in range(0, len(text), cut)]


def response(items: list[dict[str, Any]], status: str) -> dict[str, Any]:
    details = (
        {"incomplete_details": {"reason": "max_output_tokens"}} if status == "incomplete" else {}
    )
    usage = {"input_tokens": 1, "output_tokens": 2, "total_tokens": 3}
    return {
        "id": "resp_1",
        "object": "response",
        "created_at": 1,
        "model": "m",
        "status": status,
        "output": items,
        "usage": usage,
        **details,
    }


class AttributeJson:
    """A chunk's JSON with access by attribute, as for the SDK's objects."""

    def __init__(self, value: dict[str, Any]) -> None:
        self.__dict__.update({key: wrapped(inner) for key, inner in value.items()})
        self.model_extra = value

    def __getattr__(self, name: str) -> Any:
        return None

    def model_dump(self) -> dict[str, Any]:
        return self.model_extra


def wrapped(value: Any) -> Any:
    if isinstance(value, dict):
        return AttributeJson(value)
    return [wrapped(inner) for inner in value] if isinstance(value, list) else value


@settings(slow, max_examples=examples(50))
@given(
    _items,
    st.integers(1, 7),
    st.sampled_from(["completed", "incomplete"]),
    st.booleans(),
    st.booleans(),
)
def test_a_stream_equals_the_result(
    items: list[dict[str, Any]], cut: int, status: str, json_format: bool, bare: bool
) -> None:
    items = [
        item | ({"call_id": f"call_{i}"} if "call" in item["type"] else {})
        for i, item in enumerate(items)
    ]
    whole = response(items, status)
    asked = ReplyContext(stream=True, include_usage=True, json_format=json_format)
    result = oracle.of_completion(AttributeJson(response_to_completion(whole, asked).body))
    machine, reader = ChunksFromEvents(asked), oracle.Reader()
    end = {"type": f"response.{status}", "response": whole | ({"output": []} if bare else {})}
    for event in [*render(items, cut), end]:
        for chunk in machine.feed(event):
            reader.take(AttributeJson(chunk))
    machine.close()
    assert reader.seen() == result
