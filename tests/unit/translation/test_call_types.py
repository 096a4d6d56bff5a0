"""The table of calls: each row is one type on both APIs, and everything else is derived from it."""

from __future__ import annotations

from typing import Any, get_args

import pytest

from adapter import read
from adapter.reading import Finished, tool_result
from adapter.translation import ChunksFromEvents, chat_to_responses, response_to_completion
from adapter.translation.objects.call_types import (
    CALL_EVENTS,
    CALL_KINDS,
    CALL_OUTPUTS,
    CALL_TYPES,
    CallKind,
    CallType,
    call_type_of,
    call_type_on_chat,
)
from adapter.translation.replies import stored
from adapter.translation.replies.empty_answers import _STEPS
from adapter.translation.streams.events_to_chunks import TABLE, State
from tests.support.answers import response

ROWS = sorted(CALL_TYPES.values())
each = pytest.mark.parametrize("call_type", ROWS, ids=lambda one: one.item)


def item_of(call_type: CallType) -> dict[str, Any]:
    return {"type": call_type.item, "id": "x_1", "call_id": "call_1", "name": "note",
            call_type.payload: '{"a":1}', "status": "completed"}  # fmt: skip


def chat_of(call_type: CallType) -> dict[str, Any]:
    body = {"name": "note", call_type.payload: '{"a":1}'}
    return {"id": "call_1", "type": call_type.kind, call_type.kind: body}


def events_of(call_type: CallType) -> list[dict[str, Any]]:
    item, at = item_of(call_type), {"output_index": 0, "item_id": "x_1"}
    pieces = ['{"a"', ":1}"]
    return [
        {"type": "response.created", "response": response() | {"status": "in_progress"}},
        {"type": "response.output_item.added", **at, "item": item | {call_type.payload: ""}},
        *({"type": f"{call_type.events}.delta", **at, "delta": piece} for piece in pieces),
        {"type": f"{call_type.events}.done", **at, call_type.payload: "".join(pieces)},
        {"type": "response.output_item.done", **at, "item": item},
        {"type": "response.completed", "response": response(item)},
    ]


def merged(chunks: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the one call that chunks make."""
    made: dict[str, Any] = {}
    for entry in (entry for chunk in chunks for choice in chunk["choices"]
                  for entry in choice["delta"].get("tool_calls", ())):  # fmt: skip
        made |= {key: entry[key] for key in ("id", "type") if key in entry}
        body = made.setdefault(kind := made["type"], {"name": ""})
        for key, value in entry[kind].items():
            body[key] = body.get(key, "") + value
    return made


def test_no_two_rows_share_a_name() -> None:
    assert len(CALL_KINDS) == len(CALL_OUTPUTS) == len(CALL_TYPES)
    assert len(CALL_EVENTS) == 2 * len(CALL_TYPES)
    assert len({one.origin for one in ROWS}) == len(ROWS)
    assert set(get_args(CallKind)) == set(CALL_KINDS)


@each
def test_every_event_has_a_handler_in_a_running_stream(call_type: CallType) -> None:
    for step in ("delta", "done"):
        assert (State.RUNNING, f"{call_type.events}.{step}") in TABLE


@each
def test_a_call_alone_is_no_answer_of_another_kind(call_type: CallType) -> None:
    assert call_type.item in _STEPS


@each
def test_a_whole_call(call_type: CallType) -> None:
    made = response_to_completion(response(item_of(call_type)))
    choice = made.body["choices"][0]
    assert choice["message"]["tool_calls"] == [chat_of(call_type)]
    assert choice["finish_reason"] == "tool_calls"
    assert made.losses == ()


@each
def test_a_streamed_call(call_type: CallType) -> None:
    machine = ChunksFromEvents()
    chunks = [chunk for event in events_of(call_type) for chunk in machine.feed(event)]
    assert merged(chunks) == chat_of(call_type)
    assert machine.finished_calls == 1
    assert machine.close() == []
    [delivered] = machine.delivered_items()
    assert delivered == {key: item_of(call_type)[key] for key in delivered}


@each
def test_back_as_history(call_type: CallType) -> None:
    answer = {"role": "assistant", "content": None, "tool_calls": [chat_of(call_type)]}
    result = {"role": "tool", "tool_call_id": "call_1", "content": "done"}
    messages = [{"role": "user", "content": "x"}, answer, result]
    made = chat_to_responses({"model": "gpt-4o", "messages": messages})
    assert made.body is not None
    _, call, output = made.body["input"]
    keys = ("type", "call_id", "name", call_type.payload)
    assert call == {key: item_of(call_type)[key] for key in keys}
    assert output == {"type": call_type.output, "call_id": "call_1", "output": "done"}
    assert [origin.kind for origin in made.paths.items] == ["message", call_type.origin, "output"]


@each
@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
def test_read(call_type: CallType, *, streamed: bool) -> None:
    if streamed:
        *_, last = read(events_of(call_type))
        assert isinstance(last, Finished)
        turn = last.turn
    else:
        turn = read(response(item_of(call_type)))
    [call] = turn.tool_calls
    assert (call.type, call.id, call.arguments) == (call_type.kind, "call_1", '{"a":1}')
    assert turn.as_message()["tool_calls"] == [chat_of(call_type)]
    assert turn.as_items()[0]["type"] == call_type.item
    assert tool_result(call, "done").as_items()[0]["type"] == call_type.output


@each
def test_a_stored_call_and_its_result(call_type: CallType) -> None:
    output = {"type": call_type.output, "id": "o_1", "call_id": "call_1", "output": "done"}
    page = stored.messages({"data": [item_of(call_type), output]})["data"]
    assert page[0]["tool_calls"] == [chat_of(call_type)]
    assert (page[1]["role"], page[1]["tool_call_id"], page[1]["content"]) == (
        "tool", "call_1", "done",
    )  # fmt: skip


@each
def test_a_call_is_found_by_its_item_and_by_its_form_on_chat(call_type: CallType) -> None:
    chat = chat_of(call_type)
    assert call_type_of(item_of(call_type)) is call_type
    assert call_type_on_chat(chat) is call_type
    assert call_type_on_chat({call_type.kind: chat[call_type.kind]}) is call_type


@pytest.mark.parametrize("kind", [None, [], {}, 7, "message", "function"], ids=repr)
def test_any_other_item_is_no_call(kind: object) -> None:
    assert call_type_of({"type": kind}) is None
