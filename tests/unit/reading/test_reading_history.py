"""Turns and tool results as entries of the next request, for either API."""

from __future__ import annotations

import copy
import dataclasses
import json
import pickle
import re
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from pydantic import BaseModel

import adapter
from adapter import Finished, ToolCall, ToolCallDone, read, tool_result
from tests.support import answer_forms
from tests.support.answer_forms import AnswerParts, Called

Json = dict[str, Any]

CALL = ToolCall("call_1", "f", "{}")
CUSTOM = ToolCall("call_1", "sql", "select 1", type="custom")
LEGACY = ToolCall("", "f", "{}", type="function_call")
LONG = ToolCall("x" * 70, "f", "{}")


class Weather(BaseModel):
    celsius: int
    day: date


@dataclasses.dataclass
class Point:
    x: int


URL = "data:image/png;base64,AAAA"
IMAGE = {"type": "image_url", "image_url": {"url": URL, "detail": "low"}}
INPUT_IMAGE = {"type": "input_image", "image_url": URL, "detail": "low"}
FILE = {"type": "file", "file": {"file_id": "file_1", "filename": "a.pdf"}}
INPUT_FILE = {"type": "input_file", "file_id": "file_1", "filename": "a.pdf"}
TEXT, INPUT_TEXT = {"type": "text", "text": "See:"}, {"type": "input_text", "text": "See:"}

OUTPUTS: dict[str, tuple[Any, Any, Any]] = {
    "text": ("sunny", "sunny", "sunny"),
    "empty": ("", "", ""),
    "none": (None, "", ""),
    "object": ({"a": "ü", "b": [1, None]}, '{"a":"ü","b":[1,null]}', '{"a":"ü","b":[1,null]}'),
    "list": ([1, 2], "[1,2]", "[1,2]"),
    "empty_list": ([], "[]", "[]"),
    "number": (7, "7", "7"),
    "boolean": (True, "true", "true"),
    "model": (
        Weather(celsius=1, day=date(2026, 1, 2)),
        '{"celsius":1,"day":"2026-01-02"}',
        '{"celsius":1,"day":"2026-01-02"}',
    ),
    "dataclass": (Point(1), '{"x":1}', '{"x":1}'),
    "decimal": ({"a": Decimal("1.5")}, '{"a":"1.5"}', '{"a":"1.5"}'),
    "rows_with_a_type": (
        [{"type": "text"}, {"type": "file", "file": "a"}],
        '[{"type":"text"},{"type":"file","file":"a"}]',
        '[{"type":"text"},{"type":"file","file":"a"}]',
    ),
    "chat_parts": ([TEXT, IMAGE, FILE], [TEXT, IMAGE, FILE], [INPUT_TEXT, INPUT_IMAGE, INPUT_FILE]),
    "input_parts": (
        [INPUT_TEXT, INPUT_IMAGE, INPUT_FILE],
        [TEXT, IMAGE, FILE],
        [INPUT_TEXT, INPUT_IMAGE, INPUT_FILE],
    ),
    "image_without_detail": (
        [{"type": "image_url", "image_url": URL}],
        [{"type": "image_url", "image_url": URL}],
        [{"type": "input_image", "image_url": URL, "detail": "auto"}],
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", OUTPUTS)
def test_tool_result(case: str) -> None:
    output, chat, responses = OUTPUTS[case]
    before = copy.deepcopy(output)
    result = tool_result(CALL, output)
    assert result == {"role": "tool", "tool_call_id": "call_1", "content": chat}
    assert result.as_message() == result
    assert type(result.as_message()) is dict
    assert result.as_items() == [
        {"type": "function_call_output", "call_id": "call_1", "output": responses}
    ]
    assert json.loads(json.dumps(result)) == result
    assert output == before


@pytest.mark.parametrize("case", ["text", "object", "chat_parts"])
def test_a_result_is_the_same_as_the_translation_makes(case: str) -> None:
    result = tool_result(CALL, OUTPUTS[case][0])
    call = read(answer_forms.completion(AnswerParts(calls=(Called("f", ("{}",)),)))).as_message()
    body = adapter.translate.chat_to_responses({"model": "m", "messages": [call, result]}).body
    assert body is not None
    assert body["input"][1:] == result.as_items()


def test_results_of_other_calls() -> None:
    assert tool_result(CUSTOM, "x").as_items()[0]["type"] == "custom_tool_call_output"
    assert tool_result(CUSTOM, "x")["role"] == "tool"
    assert tool_result(LEGACY, "x") == {"role": "function", "name": "f", "content": "x"}
    assert len(tool_result(LONG, "x").as_items()[0]["call_id"]) <= 64
    done = ToolCallDone("f", "{}", None, "call_1", 0)
    assert tool_result(done, "x") == tool_result(CALL, "x")


@pytest.mark.parametrize("output", [b"x", object(), {"a": object()}, [lambda: None]])
def test_invalid_results_raise(output: Any) -> None:
    with pytest.raises(TypeError, match="a tool's result"):
        tool_result(CALL, output)


def test_parts_without_a_chat_form_raise() -> None:
    with pytest.raises(adapter.Unsupported, match="file_id"):
        tool_result(CALL, [{"type": "input_image", "file_id": "file_1"}])


def test_results_copy_pickle_and_show_nothing() -> None:
    result = tool_result(CALL, "SECRET")
    for again in (pickle.loads(pickle.dumps(result)), copy.deepcopy(result)):
        assert again == result
        assert again.as_items() == result.as_items()
    assert repr(result) == "ToolResult('call_1')"


MESSAGES: dict[str, tuple[AnswerParts, Json, list[Json]]] = {
    "text": (
        AnswerParts(("Hi",)),
        {"role": "assistant", "content": "Hi"},
        [
            {
                "type": "message",
                "role": "assistant",
                "content": [{"type": "output_text", "text": "Hi", "annotations": []}],
            }
        ],
    ),
    "refusal": (
        AnswerParts(refusal=("No.",)),
        {"role": "assistant", "content": None, "refusal": "No."},
        [
            {
                "type": "message",
                "role": "assistant",
                "content": [{"type": "refusal", "refusal": "No."}],
            }
        ],
    ),
    "calls": (
        AnswerParts(calls=(Called("f", ("{}",)), Called("sql", ("a",), "call_2", custom=True))),
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}},
                {"id": "call_2", "type": "custom", "custom": {"name": "sql", "input": "a"}},
            ],
        },
        [
            {"type": "function_call", "call_id": "call_1", "name": "f", "arguments": "{}"},
            {"type": "custom_tool_call", "call_id": "call_2", "name": "sql", "input": "a"},
        ],
    ),
    "empty": (
        AnswerParts(),
        {"role": "assistant", "content": ""},
        [
            {
                "type": "message",
                "role": "assistant",
                "content": [{"type": "output_text", "text": "", "annotations": []}],
            }
        ],
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", MESSAGES)
def test_turns_as_messages_and_items(case: str) -> None:
    said, message, items = MESSAGES[case]
    turns = [read(answer_forms.completion(said)), read(answer_forms.response(said))]
    for lines in (answer_forms.chunks(said), answer_forms.events(said)):
        *_, last = read(lines)
        assert isinstance(last, Finished)
        turns.append(last.turn)
    for turn in turns:
        assert turn.as_message() == message
        assert turn.as_items() == items
        assert (
            read(
                {"choices": [{"message": turn.as_message(), "finish_reason": "stop"}]}
            ).as_message()
            == message
        )


def test_a_deprecated_call_stays_deprecated() -> None:
    message = {
        "role": "assistant",
        "content": None,
        "function_call": {"name": "f", "arguments": "{}"},
    }
    turn = read({"choices": [{"message": message, "finish_reason": "function_call"}]})
    assert turn.as_message() == message
    (item,) = turn.as_items()
    assert item["call_id"] == tool_result(turn.tool_calls[0], "x").as_items()[0]["call_id"]


SEALED = {
    "type": "reasoning",
    "id": "rs_1",
    "summary": [],
    "encrypted_content": "sealed",
    "status": None,
}
BACK = {"type": "reasoning", "summary": [], "encrypted_content": "sealed"}
BARE = {"type": "reasoning", "id": "rs_2", "summary": []}
SEARCH = {"type": "web_search_call", "id": "ws_1", "status": "completed"}


def message(text: str, phase: str | None = None) -> Json:
    part = {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
    made = {
        "type": "message",
        "id": "msg_1",
        "status": "completed",
        "role": "assistant",
        "content": [part],
    }
    return made | ({"phase": phase} if phase else {})


def back(text: str, **more: Any) -> Json:
    parts = [{"type": "output_text", "text": text, "annotations": []}]
    return {"type": "message", "role": "assistant", "content": parts, **more}


F = {
    "type": "function_call",
    "id": "fc_1",
    "call_id": "call_1",
    "name": "f",
    "arguments": "{}",
    "status": "completed",
}
F_BACK = {"type": "function_call", "call_id": "call_1", "name": "f", "arguments": "{}"}
OWN: dict[str, tuple[list[Json], list[Json]]] = {
    "reasoning_and_call": ([SEALED, F], [BACK, F_BACK]),
    "reasoning_that_is_not_sealed": ([BARE, F], [F_BACK]),
    "reasoning_without_what_follows": ([message("x"), SEALED], [back("x")]),
    "reasoning_before_a_hosted_call_at_the_end": ([message("x"), SEALED, SEARCH], [back("x")]),
    "phases": (
        [message("Let me see.", "commentary"), F, message("Yes.", "final_answer")],
        [back("Let me see.", phase="commentary"), F_BACK, back("Yes.", phase="final_answer")],
    ),
    "hosted": ([SEARCH, message("x")], [back("x")]),
    "namespace": ([{**F, "namespace": "shop"}], [{**F_BACK, "namespace": "shop"}]),
}


@pytest.mark.parametrize("case", OWN)
def test_the_items_of_a_response_are_kept(case: str) -> None:
    output, items = OWN[case]
    response = {**answer_forms.response(AnswerParts()), "output": output}
    client = answer_forms.client(answer_forms.Upstream(json.dumps(response).encode()))
    for x in (response, client.responses.create(input="…", model="m")):
        turn = read(x)
        assert turn.as_items() == items
        assert pickle.loads(pickle.dumps(turn)).as_items() == items


def test_a_call_and_its_result_have_one_id_whatever_the_server_writes() -> None:
    item = {"type": "function_call", "call_id": "functions.f:0", "name": "f", "arguments": "{}"}
    turn = read({"object": "response", "status": "completed", "output": [item]})
    (asked,), (given,) = turn.as_items(), tool_result(turn.tool_calls[0], "x").as_items()
    assert asked["call_id"] == given["call_id"]
    assert re.fullmatch(r"[\w-]{1,64}", asked["call_id"])


def test_turns_can_be_hashed() -> None:
    item = {"type": "function_call", "call_id": "c", "name": "f", "arguments": '{"a": [1]}'}
    tools = [{"type": "function", "name": "f", "parameters": {"type": "object"}}]
    turn = read(
        {
            "object": "response",
            "status": "completed",
            "output": [item],
            "usage": {"input_tokens": 3.0},
        },
        tools=tools,
    )
    assert hash(turn) == hash(copy.deepcopy(turn))
    assert turn.tool_calls[0].parsed == {"a": [1]}
    assert turn.usage is not None
    assert turn.usage.input_tokens == 3
