"""What is remembered of a reply, and where it goes: the pure part, for any history (MAPPING §2.7)."""

from __future__ import annotations

import copy
import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from adapter.translation.models import family_name
from adapter.translation.policy import Policy
from adapter.translation.requests import chat_to_responses
from adapter.translation.turns import ToolTurn, put_back, read_history

Item = dict[str, Any]

words = st.sampled_from(["", "a", "b", "Look."])
ids = st.sampled_from(["call_0", "call_1", "call_2"])
arguments = st.sampled_from(["{}", '{"a":1}', "no json"])


@st.composite
def outputs(draw: st.DrawFn) -> list[Item]:
    """Draw a reply that ends with calls."""
    made: list[Item] = []
    if draw(st.booleans()):
        text = draw(words.filter(bool))
        message = {
            "type": "message",
            "id": "msg_1",
            "role": "assistant",
            "content": [{"type": "output_text", "text": text}],
        }
        made.append(message | draw(st.sampled_from([{}, {"phase": "commentary"}, {"phase": "new"}, {"phase": None}])))
    for k in range(draw(st.integers(1, 3))):
        for _ in range(draw(st.integers(0, 2))):
            secret = draw(st.text("ABC=", min_size=0, max_size=3))
            made.append({"type": "reasoning", "id": f"rs_{k}", "summary": [], "encrypted_content": secret or None})
        made.append(
            {"type": "function_call", "id": f"fc_{k}", "call_id": draw(ids), "name": "f", "arguments": draw(arguments)}
        )
    return made


def message_of(output: list[Item]) -> Item:
    """Write what a chat history keeps of an output."""
    text = "".join(part["text"] for item in output if item["type"] == "message" for part in item["content"])
    calls = [
        {"id": item["call_id"], "type": "function", "function": {"name": item["name"], "arguments": item["arguments"]}}
        for item in output
        if item["type"] == "function_call"
    ]
    return {"role": "assistant", "content": text or None, "tool_calls": calls}


def answers_to(message: Item) -> list[Item]:
    return [{"role": "tool", "tool_call_id": one["id"], "content": "ok"} for one in message["tool_calls"]]


steps = st.lists(
    st.one_of(words.filter(bool).map(lambda text: {"role": "user", "content": text}), outputs()), min_size=1, max_size=8
)


def _translated(messages: list[Item]) -> Any:
    return chat_to_responses({"model": "gpt-5", "messages": messages}, Policy())


def _expected(output: list[Item]) -> list[Item]:
    """Write the items of an output as they are to stand in the next request."""
    out = []
    for item in output:
        if item["type"] == "reasoning":
            out += [{key: value for key, value in item.items() if key != "id"}] if item["encrypted_content"] else []
        elif item["type"] == "message":
            parts = [{**part, "annotations": []} for part in item["content"]]
            phase = {"phase": "commentary"} if item.get("phase") == "commentary" else {}
            out.append({"type": "message", "role": "assistant", "content": parts, **phase})
        else:
            out.append({key: value for key, value in item.items() if key != "id"})
    return out


@given(steps)
def test_a_history_that_comes_back_as_it_was_is_whole_again(steps: list[Any]) -> None:
    """Turn by turn, as an application does it; every reply is in its place in the end, whatever the ids and words."""
    messages: list[Item] = [{"role": "user", "content": "Go."}]
    expected: list[Item] = [{"role": "user", "content": "Go."}]
    memory: dict[str, ToolTurn] = {}
    for step in steps:
        if isinstance(step, dict):
            messages.append(step)
            expected.append(step)
            continue
        plain = _translated(messages)
        memo = read_history(plain.body["input"], plain.index.items).memo(step)
        light = read_history(plain.body["input"], plain.index.items)
        light.let_go()  # as a stream's does
        assert light.memo(step) == memo
        if memo is not None:
            assert memo.name not in memory
            memory[memo.name] = ToolTurn.from_json(json.loads(json.dumps(memo.turn.to_json())))
        message = message_of(step)
        messages += [message, *answers_to(message)]
        outputs = [
            {"type": "function_call_output", "call_id": one["id"], "output": "ok"} for one in message["tool_calls"]
        ]
        expected += [*_expected(step), *outputs]
    plain = _translated(messages)
    before = copy.deepcopy(plain.body["input"])
    items, origins, put = put_back(
        plain.body["input"], plain.index.items, read_history(before, plain.index.items), memory
    )
    assert items == expected
    assert plain.body["input"] == before, "the input is never changed"
    assert len(origins) == len(items)
    assert [items[k]["type"] for k in put] == ["reasoning"] * len(put)
    assert [origin for k, origin in enumerate(origins) if k not in put] == list(plain.index.items)


@given(outputs(), st.data())
def test_what_differs_in_a_call_or_the_words_before_gets_nothing(output: list[Item], data: st.DataObject) -> None:
    plain = _translated([{"role": "user", "content": "Go."}])
    memo = read_history(plain.body["input"], plain.index.items).memo(output)
    if memo is None:
        return
    message = message_of(output)
    k = data.draw(st.integers(0, len(message["tool_calls"]) - 1))
    words = "Go."
    match data.draw(st.sampled_from(["user", "id", "name", "arguments", "removed"])):
        case "user":
            words = "Go!"
        case "id":
            message["tool_calls"][k]["id"] += "x"
        case "removed":
            del message["tool_calls"][k]
        case key:
            message["tool_calls"][k]["function"][key] += " "
    plain = _translated([{"role": "user", "content": words}, message, *answers_to(message)])
    history = read_history(plain.body["input"], plain.index.items)
    items, _, put = put_back(plain.body["input"], plain.index.items, history, {memo.name: memo.turn})
    assert (items, put) == (plain.body["input"], [])


@given(outputs())
def test_sizes_are_near_the_truth(output: list[Item]) -> None:
    plain = _translated([{"role": "user", "content": "Go."}])
    memo = read_history(plain.body["input"], plain.index.items).memo(output)
    if memo is not None:
        assert memo.turn.size >= len(json.dumps(memo.turn.to_json())) / 2


def test_families() -> None:
    same = ("gpt-5", "gpt-5-2025-08-07", "openai/gpt-5", "openai.gpt-5", "ft:gpt-5:acme::abc", "GPT-5", "gpt-5-latest")
    assert {family_name(name) for name in same} == {"gpt-5"}
    assert len({family_name(name) for name in ("gpt-5", "gpt-5-mini", "gpt-5.1", "o3", "o3-mini", "my-model")}) == 6


def test_reasoning_in_plain_text_counts_too() -> None:
    item = {
        "type": "reasoning",
        "summary": [],
        "encrypted_content": "x",
        "content": [{"type": "reasoning_text", "text": "x" * 10**6}],
    }
    assert ToolTurn(("a",), ((item,),), None, (None,)).size > 10**6
