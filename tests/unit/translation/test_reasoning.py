"""Remembered turns and their insertion, for any history (docs/mapping.md#reasoning)."""

from __future__ import annotations

import copy
import itertools
import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from adapter._memory.untrusted_values import parse_turn
from adapter.translation.model_profiles import family_name
from adapter.translation.policy import Policy
from adapter.translation.reasoning.history import read_history
from adapter.translation.reasoning.insertion import insert_turns
from adapter.translation.reasoning.turns import RememberedTurn
from adapter.translation.requests.chat_to_responses import chat_to_responses
from tests.support.tool_loop import random_id

Item = dict[str, Any]

words = st.sampled_from(["", "a", "b", "Look."])
ids = st.sampled_from(["call_0", "call_1", "call_2"])
arguments = st.sampled_from(["{}", '{"a":1}', "no json"])


@st.composite
def outputs(draw: st.DrawFn) -> list[Item]:
    """Draw the output of a reply that ends with calls."""
    made: list[Item] = []
    if draw(st.booleans()):
        text = draw(words.filter(bool))
        message = {
            "type": "message",
            "id": "msg_1",
            "role": "assistant",
            "content": [{"type": "output_text", "text": text}],
        }
        made.append(
            message
            | draw(
                st.sampled_from(
                    [
                        {},
                        {"phase": "commentary"},
                        {"phase": "final_answer"},
                        {"phase": "new"},
                        {"phase": None},
                    ]
                )
            )
        )
    for k in range(draw(st.integers(1, 3))):
        for _ in range(draw(st.integers(0, 2))):
            secret = draw(st.text("ABC=", min_size=0, max_size=3))
            made.append(
                {
                    "type": "reasoning",
                    "id": f"rs_{k}",
                    "summary": [],
                    "encrypted_content": secret or None,
                }
            )
        made.append(
            {
                "type": "function_call",
                "id": f"fc_{k}",
                "call_id": draw(ids),
                "name": "f",
                "arguments": draw(arguments),
            }
        )
    return made


def message_of(output: list[Item]) -> Item:
    """Return the message of a chat history for an output."""
    text = "".join(
        part["text"] for item in output if item["type"] == "message" for part in item["content"]
    )
    calls = [
        {
            "id": item["call_id"],
            "type": "function",
            "function": {"name": item["name"], "arguments": item["arguments"]},
        }
        for item in output
        if item["type"] == "function_call"
    ]
    return {"role": "assistant", "content": text or None, "tool_calls": calls}


def answers_to(message: Item) -> list[Item]:
    return [
        {"role": "tool", "tool_call_id": one["id"], "content": "ok"}
        for one in message["tool_calls"]
    ]


users = words.filter(bool).map(lambda text: {"role": "user", "content": text})


def steps(*, guessable: bool) -> Any:
    """Draw the steps of a conversation: user messages, and outputs with tool calls."""
    drawn = st.lists(st.one_of(users, outputs()), min_size=1, max_size=8)
    return drawn if guessable else drawn.map(_with_random_ids)


def _with_random_ids(drawn: list[Any]) -> list[Any]:
    numbers = itertools.count()
    return [
        [
            {**item, "call_id": random_id(next(numbers))} if "call_id" in item else item
            for item in step
        ]
        if isinstance(step, list)
        else step
        for step in drawn
    ]


conversations = st.one_of(
    st.tuples(st.just(True), steps(guessable=True)),
    st.tuples(st.booleans(), steps(guessable=False)),
)
"""Whether the conversation is named, and its steps."""


def _translated(messages: list[Item]) -> Any:
    return chat_to_responses({"model": "gpt-5", "messages": messages}, Policy())


def _expected(output: list[Item]) -> list[Item]:
    """Return the items of an output as the next request must have them."""
    out = []
    for item in output:
        if item["type"] == "reasoning":
            out += (
                [{key: value for key, value in item.items() if key != "id"}]
                if item["encrypted_content"]
                else []
            )
        elif item["type"] == "message":
            parts = [{**part, "annotations": []} for part in item["content"]]
            phase = (
                {"phase": item["phase"]}
                if item.get("phase") in ("commentary", "final_answer")
                else {}
            )
            out.append({"type": "message", "role": "assistant", "content": parts, **phase})
        else:
            out.append({key: value for key, value in item.items() if key != "id"})
    return out


def _with_callers_id(item: Item, plain: Any) -> Item:
    """Return an item with the caller's id, if the request has another."""
    call_id = plain.asked.call_ids.get(item.get("call_id"))
    return item if call_id is None else {**item, "call_id": call_id}


def _history(plain: Any, *, named: bool = False) -> Any:
    history = read_history(
        plain.body["input"], plain.index.items, named=named, call_ids=plain.asked.call_ids
    )
    history.keeps_empty = True
    return history


@given(conversations)
def test_an_unchanged_history_gets_all_its_reasoning(
    conversation: tuple[bool, list[Any]],
) -> None:
    """Turn by turn: in a named conversation with any ids, in any other with random ones."""
    named, steps = conversation
    messages: list[Item] = [{"role": "user", "content": "Go."}]
    expected: list[Item] = [{"role": "user", "content": "Go."}]
    memory: dict[str, RememberedTurn] = {}
    for step in steps:
        if isinstance(step, dict):
            messages.append(step)
            expected.append(step)
            continue
        plain = _translated(messages)
        entry = _history(plain, named=named).make_entry(step)
        released = _history(plain, named=named)
        released.release()  # as streams do
        assert released.make_entry(step) == entry
        assert entry is not None
        assert entry.name not in memory
        memory[entry.name] = parse_turn(json.loads(json.dumps(entry.turn.to_json())))
        message = message_of(step)
        messages += [message, *answers_to(message)]
        outputs = [
            {"type": "function_call_output", "call_id": one["id"], "output": "ok"}
            for one in message["tool_calls"]
        ]
        expected += [*_expected(step), *outputs]
    plain = _translated(messages)
    before = copy.deepcopy(plain.body["input"])
    items, origins, inserted, names, losses = insert_turns(
        plain.body["input"], plain.index.items, _history(plain, named=named), memory
    )
    assert [_with_callers_id(item, plain) for item in items] == expected
    assert losses == ()
    assert sorted(names or memory) == sorted(memory)
    assert plain.body["input"] == before, "the input is never changed"
    assert len(origins) == len(items)
    assert [items[k]["type"] for k in inserted] == ["reasoning"] * len(inserted)
    others = [origin for k, origin in enumerate(origins) if k not in inserted]
    assert others == list(plain.index.items)


@given(conversations)
def test_guessable_ids_are_not_remembered_without_a_named_conversation(
    conversation: tuple[bool, list[Any]],
) -> None:
    messages: list[Item] = [{"role": "user", "content": "Go."}]
    for step in conversation[1]:
        if isinstance(step, dict):
            messages.append(step)
            continue
        plain = _translated(messages)
        entry = _history(plain).make_entry(step)
        first = next(item["call_id"] for item in step if item["type"] == "function_call")
        assert (entry is None) is (len(first) < 16)
        message = message_of(step)
        messages += [message, *answers_to(message)]


CHANGES = ["user", "id", "name", "arguments", "removed"]


@given(st.booleans(), st.booleans(), st.data())
def test_a_changed_call_or_user_message_gets_no_reasoning(
    named: bool, guessable: bool, data: st.DataObject
) -> None:
    output = data.draw(outputs())
    output = output if guessable else _with_random_ids([output])[0]
    plain = _translated([{"role": "user", "content": "Go."}])
    entry = _history(plain, named=named).make_entry(output)
    if entry is None:
        assert guessable
        assert not named
        return
    message = message_of(output)
    k = data.draw(st.integers(0, len(message["tool_calls"]) - 1))
    asked = "Go."
    match change := data.draw(st.sampled_from(CHANGES)):
        case "user":
            asked = "Go!"
        case "id":
            message["tool_calls"][k]["id"] += "x"
        case "removed":
            del message["tool_calls"][k]
        case key:
            message["tool_calls"][k]["function"][key] += " "
    plain = _translated([{"role": "user", "content": asked}, message, *answers_to(message)])
    found = {entry.name: entry.turn}
    back = insert_turns(plain.body["input"], plain.index.items, _history(plain, named=named), found)
    assert (back.items, back.inserted, back.names) == (plain.body["input"], (), ())
    # Its name is known from the first call, so a change after that is reported as a loss.
    found_again = entry.name in _history(plain, named=named).names
    assert guessable or found_again is not (k == 0 and change in ("id", "removed"))
    known = found_again and entry.turn.has_content
    assert [loss.path for loss in back.losses] == (["messages[1]"] if known else [])


@given(outputs())
def test_the_size_is_at_least_half_of_the_json(output: list[Item]) -> None:
    plain = _translated([{"role": "user", "content": "Go."}])
    entry = _history(plain, named=True).make_entry(output)
    assert entry is not None
    assert entry.turn.size >= len(json.dumps(entry.turn.to_json())) / 2


def test_families() -> None:
    same = (
        "gpt-5",
        "gpt-5-2025-08-07",
        "openai/gpt-5",
        "openai.gpt-5",
        "ft:gpt-5:acme::abc",
        "GPT-5",
        "gpt-5-latest",
    )
    assert {family_name(name) for name in same} == {"gpt-5"}
    assert (
        len(
            {
                family_name(name)
                for name in ("gpt-5", "gpt-5-mini", "gpt-5.1", "o3", "o3-mini", "my-model")
            }
        )
        == 6
    )


def test_reasoning_in_plain_text_counts_too() -> None:
    item = {
        "type": "reasoning",
        "summary": [],
        "encrypted_content": "x",
        "content": [{"type": "reasoning_text", "text": "x" * 10**6}],
    }
    assert RememberedTurn(("a",), ((item,),), None, (None,)).size > 10**6


def test_an_emulated_name_does_not_prevent_the_insertion() -> None:
    policy = Policy(emulate=frozenset({"name"}))
    text = {
        "type": "message",
        "phase": "final_answer",
        "content": [{"type": "output_text", "text": "Looking."}],
    }
    call = {"type": "function_call", "call_id": random_id(1), "name": "f", "arguments": "{}"}
    reasoning = {"type": "reasoning", "summary": [], "encrypted_content": "AAAA"}
    output = [reasoning, text, call]
    messages: list[Item] = [{"role": "user", "content": "Go.", "name": "Bob"}]
    plain: Any = chat_to_responses({"model": "gpt-5", "messages": messages}, policy)
    entry = _history(plain).make_entry(output)
    assert entry is not None
    message = {**message_of(output), "name": "Ann"}
    plain = chat_to_responses(
        {"model": "gpt-5", "messages": [*messages, message, *answers_to(message)]}, policy
    )
    back = insert_turns(
        plain.body["input"], plain.index.items, _history(plain), {entry.name: entry.turn}
    )
    assert [item.get("type", "message") for item in back.items] == [
        "message", "reasoning", "message", "function_call", "function_call_output",
    ]  # fmt: skip
    assert back.items[2]["content"][0]["text"] == "[Ann]: Looking."
    assert back.items[2]["phase"] == "final_answer"
    assert back.losses == ()
