"""Reasoning in tool loops (docs/edge-cases.md#reasoning-and-state).

The histories keep only the standard fields of messages.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

import adapter
from adapter import Settings
from adapter._memory.in_memory import InMemoryStore
from tests.support import corpus
from tests.support.answers import response
from tests.support.chunking import every
from tests.support.corpus import needs_corpus
from tests.support.http import SDK
from tests.support.loopback import Loopback
from tests.support.loopback import Reply as Answer
from tests.support.scenarios import as_history
from tests.support.stores import DictStore, RedisServer, needs_redis, shared_redis, sqlite_url
from tests.support.tool_loop import (
    TOOL,
    Api,
    Item,
    Talk,
    answered,
    call,
    custom,
    events,
    item_kinds,
    message_item,
    random_id,
    reasoning,
    reasoning_items,
    without_ids,
)
from tests.support.ways_in import CHAT_COMPLETION, WAYS_IN, Reply, Sent, WayIn, each_way_in

__all__ = ["shared_redis"]

ASYNC, SYNC = (
    next(way_in for way_in in WAYS_IN if way_in.kind == "client" and way_in.asynchronous is mode)
    for mode in (True, False)
)
each_form = pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
ENCRYPTED = ["reasoning.encrypted_content"]


# Replies, and the items of the next request between the user message and the tool outputs


R, C = reasoning, call
LOOPS: dict[str, tuple[list[Item], list[Item]]] = {
    "one call": ([R(1), C(1)], [*reasoning_items([R(1)]), C(1)]),
    "with a summary": ([R(1, summary=[{"type": "summary_text", "text": "Hm — ½"}]), C(1)],
                       [*reasoning_items([R(1,
                           summary=[{"type": "summary_text", "text": "Hm — ½"}])]),
                           C(1)]),
    "with everything that the API gives": ([R(1, status="completed", content=[]), C(1)],
        [*reasoning_items([R(1, status="completed", content=[])]), C(1)]),
    "several in a row": ([R(1), R(2), C(1)], [*reasoning_items([R(1), R(2)]), C(1)]),
    "two calls": ([R(1), C(1), C(2)], [*reasoning_items([R(1)]), C(1), C(2)]),
    "between two calls": ([R(1), C(1), R(2), C(2)],
        [*reasoning_items([R(1)]), C(1), *reasoning_items([R(2)]), C(2)]),
    "commentary": ([R(1), message_item("Looking."), C(1)],
        [*reasoning_items([R(1)]), message_item("Looking."), C(1)]),
    "commentary in the middle": ([R(1), message_item("Looking."), R(2), C(1)],
        [*reasoning_items([R(1)]), message_item("Looking."), *reasoning_items([R(2)]), C(1)]),
    "commentary first": ([message_item("Looking."), R(1), C(1)],
        [message_item("Looking."), *reasoning_items([R(1)]), C(1)]),
    "a phase alone": ([message_item("Looking."), C(1)], [message_item("Looking."), C(1)]),
    "a final text": ([R(1), message_item("Done.", "final_answer"), C(1)],
        [*reasoning_items([R(1)]), message_item("Done.", "final_answer"), C(1)]),
    "a final text alone": ([message_item("Done.", "final_answer"), C(1)],
        [message_item("Done.", "final_answer"), C(1)]),
    "a final text behind the call": ([R(1), C(1), message_item("Done.", "final_answer")],
        [message_item("Done.", "final_answer"), *reasoning_items([R(1)]), C(1)]),
    "a final text between calls": (
        [R(1), C(1), message_item("Done.", "final_answer"), R(2), C(2)],
            [message_item("Done.", "final_answer"), *reasoning_items([R(1)]), C(1),
                *reasoning_items([R(2)]), C(2)],
    ),
    "commentary, then a final text": (
        [R(1), message_item("Looking."), R(2), message_item("Done.", "final_answer"), C(1)],
        [*reasoning_items([R(1), R(2)]), message_item("Done.", "final_answer"), C(1)],
    ),
    "commentary twice": ([message_item("Looking."), R(1), message_item("Still looking."), C(1)],
        [message_item("Looking.\n\nStill looking."), *reasoning_items([R(1)]), C(1)]),
    "commentary repeated": ([message_item("Looking."), message_item("Looking."), C(1)],
        [message_item("Looking."), C(1)]),
    "a phase that isn't known": ([message_item("Looking.", "analysis"), C(1)],
        [message_item("Looking.", None), C(1)]),
    "no phase": ([R(1), message_item("Looking.", None), C(1)],
        [*reasoning_items([R(1)]), message_item("Looking.", None), C(1)]),
    "behind the calls": ([R(1), C(1), R(2)], [*reasoning_items([R(1)]), C(1)]),
    "beside other items": ([R(1), {"type": "web_search_call", "id": "ws_1", "status": "completed"},
        C(1)], [*reasoning_items([R(1)]), C(1)]),
    "not encrypted": ([{"type": "reasoning", "id": "rs_1", "summary": []}, C(1)], [C(1)]),
    "one of two encrypted": ([{"type": "reasoning", "id": "rs_1", "summary": []}, R(2), C(1)],
        [*reasoning_items([R(2)]), C(1)]),
    "none": ([C(1)], [C(1)]),
}  # fmt: skip


_TWICE = "duplicates an earlier message"


def sent_form(item: Item) -> Item:
    """Return an output item in the form of an input item."""
    if item["type"] == "message":
        phase = {"phase": item["phase"]} if "phase" in item else {}
        return {"type": "message", "role": "assistant", "content": item["content"], **phase}
    return {
        key: value
        for key, value in item.items()
        if key not in ("id", *(["status"] if item["type"] != "reasoning" else []))
    }


@each_way_in
@each_form
@pytest.mark.parametrize("loop", LOOPS)
def test_a_turn_comes_back(loop: str, stream: bool, way_in: WayIn) -> None:
    output, expected = LOOPS[loop]
    api = Api(output, [message_item("Done.", None)])
    talk = Talk(way_in, api, stream=stream)
    talk.turns(2)
    first, second = api.sent
    calls = sum("call_id" in item for item in expected)
    assert second["input"][:1] == first["input"]
    assert second["input"][1:-calls] == [sent_form(item) for item in expected]
    assert item_kinds(second["input"][-calls:]) == ["function_call_output"] * calls
    assert first["include"] == second["include"] == ENCRYPTED
    assert talk.seen is not None
    assert talk.seen.decision is not None
    dropped = [
        one
        for one in talk.seen.decision.losses
        if one.why not in ("commentary next to a final answer", _TWICE)
    ]
    assert dropped == []


@each_way_in
@each_form
def test_the_prefix_stays_from_turn_to_turn(stream: bool, way_in: WayIn) -> None:
    api = Api(
        *[[R(k), message_item(f"Step {k}."), C(k)] for k in range(4)],
        [message_item("Done.", "final_answer")],
        [R(9), C(9)],
        [message_item("Bye.", None)],
    )
    talk = Talk(way_in, api, stream=stream)
    talk.turns(5)
    talk.history.append({"role": "user", "content": "And now?"})
    talk.turns(2)
    inputs = [body["input"] for body in api.sent]
    assert all(longer[: len(shorter)] == shorter for shorter, longer in itertools.pairwise(inputs))
    assert [
        item["encrypted_content"] for item in inputs[-1] if item.get("type") == "reasoning"
    ] == [f"gAAAA-{k}" for k in (0, 1, 2, 3, 9)]


@each_way_in
@each_form
def test_custom_tools(stream: bool, way_in: WayIn) -> None:
    api = Api([R(1), custom(1)], [message_item("Done.", None)])
    history: list[Item] = [{"role": "user", "content": "Find out."}]
    body = {"model": "gpt-5", "tools": [{"type": "custom", "custom": {"name": "shell"}}]}
    (way_in.stream if stream else way_in.create)({**body, "messages": history}, api).reraise()
    asked = {
        "id": random_id(1),
        "type": "custom",
        "custom": {"name": "shell", "input": "free text"},
    }
    history += answered({"role": "assistant", "content": None, "tool_calls": [asked]})
    way_in.create({**body, "messages": history}, api).reraise()
    assert item_kinds(api.sent[1]["input"]) == [
        "user",
        "reasoning",
        "custom_tool_call",
        "custom_tool_call_output",
    ]


@each_way_in
@each_form
@pytest.mark.parametrize(
    ("conversation", "expected"),
    [("legacy", ["gAAAA-1", "gAAAA-2"]), (None, [])],
    ids=["named", "unnamed"],
)
def test_the_deprecated_form_has_no_ids(
    conversation: str | None, expected: list[str], stream: bool, way_in: WayIn
) -> None:
    api = Api([R(1), C(1)], [R(2), C(2)], [message_item("Done.", None)])
    history: list[Item] = [{"role": "user", "content": "Find out."}]
    body = {"model": "gpt-5", "functions": [TOOL["function"]]}
    with adapter.use(conversation=conversation):
        for _ in range(2):  # the same call twice is two calls
            (way_in.stream if stream else way_in.create)(
                {**body, "messages": history}, api
            ).reraise()
            asked = {"name": "look_up", "arguments": '{"key": "value"}'}
            history += [
                {"role": "assistant", "content": None, "function_call": asked},
                {"role": "function", "name": "look_up", "content": "ok"},
            ]
        way_in.create({**body, "messages": history}, api).reraise()
    found = [
        item["encrypted_content"]
        for item in api.sent[2]["input"]
        if item.get("type") == "reasoning"
    ]
    assert found == expected


@each_way_in
@each_form
def test_each_of_several_answers_has_its_own(stream: bool, way_in: WayIn) -> None:
    answers = [[R(k), C(k)] for k in range(3)]
    api = Api(*answers, [message_item("Done.", None)])
    body = {
        "model": "gpt-5",
        "tools": [TOOL],
        "messages": [{"role": "user", "content": "Find out."}],
    }
    ask = way_in.stream if stream else way_in.create
    seen = ask({**body, "n": 3}, api, emulate=("n",))
    seen.reraise()
    if stream:
        ids = {
            part.id
            for chunk in seen.chunks
            for one in chunk.choices
            for part in one.delta.tool_calls or []
            if part.id
        }
    else:
        ids = {choice.message.tool_calls[0].id for choice in seen.value.choices}
    assert ids == {random_id(0), random_id(1), random_id(2)}
    chosen = [
        {
            "id": random_id(1),
            "type": "function",
            "function": {"name": "look_up", "arguments": '{"key": "value"}'},
        }
    ]
    history = [
        *body["messages"],
        *answered({"role": "assistant", "content": None, "tool_calls": chosen}),
    ]
    way_in.create({**body, "messages": history}, api).reraise()
    assert [
        item["encrypted_content"]
        for item in api.sent[3]["input"]
        if item.get("type") == "reasoning"
    ] == ["gAAAA-1"]


# Turns that aren't recalled


def _changed(history: list[Item], **changes: Any) -> list[Item]:
    """Change the call in the history's first assistant message."""
    history = json.loads(json.dumps(history))
    asked = next(one for one in history if one["role"] == "assistant")["tool_calls"][0]
    for name, value in changes.items():
        (asked if name == "id" else asked["function"])[name] = value
    for one in history:
        if one["role"] == "tool":
            one["tool_call_id"] = asked["id"]
    return history


EDITS: dict[str, Callable[[list[Item]], list[Item]]] = {
    "other arguments": lambda history: _changed(history, arguments='{"key": "other"}'),
    "the same arguments, written otherwise": lambda history: _changed(
        history, arguments='{"key":"value"}'
    ),
    "another function": lambda history: _changed(history, name="other"),
    "another id": lambda history: _changed(history, id=random_id(9)),
    "another user message": lambda history: [
        {"role": "user", "content": "Tell me her secrets."},
        *history[1:],
    ],
    "a user message put in between": lambda history: [
        history[0],
        {"role": "user", "content": "Wait."},
        *history[1:],
    ],
    "no user message": lambda history: history[1:],
    "a call removed": lambda history: [
        history[0],
        {**history[1], "tool_calls": history[1]["tool_calls"][:1]},
        *[one for one in history[2:] if one.get("tool_call_id") != random_id(2)],
    ],
    "the first call removed": lambda history: [
        history[0],
        {**history[1], "tool_calls": history[1]["tool_calls"][1:]},
        *[one for one in history[2:] if one.get("tool_call_id") != random_id(1)],
    ],
    "calls in another order": lambda history: [
        history[0],
        {**history[1], "tool_calls": history[1]["tool_calls"][::-1]},
        *history[2:],
    ],
}


@each_way_in
@pytest.mark.parametrize("edit", EDITS)
def test_a_history_that_was_edited_gets_none(edit: str, way_in: WayIn) -> None:
    api = Api([R(1), C(1), C(2)], [message_item("Done.", None)])
    talk = Talk(way_in, api)
    talk.turn()
    talk.history = EDITS[edit](talk.history)
    talk.turn()
    assert "reasoning" not in item_kinds(api.sent[1]["input"])


KEPT: dict[str, Callable[[list[Item]], list[Item]]] = {
    "a system message that holds a clock": lambda history: [
        {"role": "system", "content": "It is 12:34."},
        *history,
    ],
    "older messages trimmed": lambda history: history[2:],
    "a tool's answer shortened": lambda history: [*history[:-1], {**history[-1], "content": "…"}],
    "the text as parts": lambda history: [
        {**one, "content": [{"type": "text", "text": one["content"]}]}
        if one["role"] == "user"
        else one
        for one in history
    ],
    "content left out": lambda history: [
        {key: value for key, value in one.items() if value is not None} for one in history
    ],
    "other words beside the calls": lambda history: [
        {**one, "content": "…"} if one["role"] == "assistant" and "tool_calls" in one else one
        for one in history
    ],
    "calls in messages of their own": lambda history: [
        *history[:3],
        *(
            piece
            for one in history[3]["tool_calls"]
            for piece in answered({"role": "assistant", "content": None, "tool_calls": [one]})
        ),
    ],
}


@each_way_in
@pytest.mark.parametrize("edit", KEPT)
def test_edits_that_keep_the_turn(edit: str, way_in: WayIn) -> None:
    api = Api([R(1), C(1), C(2)], [message_item("Done.", None)])
    talk = Talk(way_in, api)
    talk.history = [
        {"role": "user", "content": "Hello."},
        {"role": "assistant", "content": "Hello!"},
        *talk.history,
    ]
    talk.turn()
    talk.history = KEPT[edit](talk.history)
    talk.turn()
    input_ = api.sent[1]["input"]
    at = item_kinds(input_).index("reasoning")
    assert input_[at] == reasoning_items([R(1)])[0]
    assert input_[at + 1].get("call_id") == random_id(1)


@each_way_in
@each_form
@pytest.mark.parametrize("conversation", ["c-1", None], ids=["named", "unnamed"])
def test_servers_that_begin_every_turn_with_the_same_id(
    conversation: str | None, stream: bool, way_in: WayIn
) -> None:
    outputs = [[R(k), C(k, call_id="call_0")] for k in range(4)]
    api = Api(
        *outputs[:2], [message_item("First.", None)], *outputs[2:], [message_item("Second.", None)]
    )
    with adapter.use(conversation=conversation):
        talk = Talk(way_in, api, stream=stream)
        talk.turns(3)
        talk.history.append(talk.history[0])  # the same message again
        talk.turns(3)
    found = [
        item["encrypted_content"]
        for item in api.sent[-1]["input"]
        if item.get("type") == "reasoning"
    ]
    assert found == (["gAAAA-0", "gAAAA-1", "gAAAA-2", "gAAAA-3"] if conversation else [])


@each_way_in
@each_form
@pytest.mark.parametrize("conversation", ["c-2", None], ids=["named", "unnamed"])
def test_an_unguessable_id_that_repeats(
    conversation: str | None, stream: bool, way_in: WayIn
) -> None:
    own = random_id(f"{way_in.name} {stream} {conversation}")
    api = Api(*([R(k), C(k, call_id=own)] for k in range(3)), [message_item("Done.", None)])
    with adapter.use(conversation=conversation):
        Talk(way_in, api, stream=stream).turns(4)
    found = [
        item["encrypted_content"]
        for item in api.sent[-1]["input"]
        if item.get("type") == "reasoning"
    ]
    assert found == ["gAAAA-0", "gAAAA-1", "gAAAA-2"]
    for earlier, later in pairwise(sent["input"] for sent in api.sent):
        assert later[: len(earlier)] == earlier


def _made_up(message: str) -> list[Item]:
    asked = {
        "id": random_id(1),
        "type": "function",
        "function": {"name": "look_up", "arguments": '{"key": "value"}'},
    }
    return [
        {"role": "user", "content": message},
        *answered({"role": "assistant", "content": None, "tool_calls": [asked]}),
    ]


@each_way_in
def test_a_made_up_history_recalls_no_reasoning(way_in: WayIn) -> None:
    api = Api([R(1), C(1)], [message_item("No.", None)], [message_item("Yes.", None)])
    Talk(way_in, api).turn()
    body = {"model": "gpt-5", "tools": [TOOL]}
    way_in.create({**body, "messages": _made_up("What did the other one think?")}, api).reraise()
    way_in.create({**body, "messages": _made_up("Find out.")}, api).reraise()
    assert [item_kinds(sent["input"]).count("reasoning") for sent in api.sent] == [0, 0, 1]


# Scopes


@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
@pytest.mark.parametrize(
    ("what", "given", "shared"),
    [
        ("the same", {}, True),
        ("key", {"api_key": "other"}, False),
        ("organisation", {"organization": "other"}, False),
        ("project", {"project": "other"}, False),
        ("base URL", {"base_url": "https://other.test/v1"}, False),
    ],
)
def test_nothing_crosses(
    what: str, given: dict[str, Any], *, shared: bool, asynchronous: bool
) -> None:
    assert _recalled({}, given, asynchronous=asynchronous) is shared
    assert _recalled({}, given, asynchronous=asynchronous, memory_scope="ours"), (
        "a named scope takes their place"
    )


def _recalled(
    one: dict[str, Any], other: dict[str, Any], *, asynchronous: bool = False, **settings: Any
) -> bool:
    """Return whether a turn of one client is recalled for another."""
    from tests.support.http import http as HTTP  # noqa: N812

    sent: list[Item] = []

    def handle(request: Any) -> Any:
        sent.append(json.loads(request.content))
        return HTTP.Response(200, json=response(R(1), C(1), model="gpt-5"))

    plain = {"base_url": "https://api.test/v1", "api_key": "key", "max_retries": 0}
    chosen = Settings(backend="responses", on_internal_error="raise", **settings)
    body: dict[str, Any] = {"model": "gpt-5", "tools": [TOOL]}

    async def ask(given: dict[str, Any], messages: list[Any]) -> None:
        given = {**plain, **given}
        if asynchronous:
            http = HTTP.AsyncClient(transport=HTTP.MockTransport(handle))
            async with adapter.AsyncOpenAI(**given, settings=chosen, http_client=http) as client:
                await client.chat.completions.create(**body, messages=messages)
        else:
            with adapter.OpenAI(
                **given,
                settings=chosen,
                http_client=HTTP.Client(transport=HTTP.MockTransport(handle)),
            ) as client:
                client.chat.completions.create(**body, messages=messages)

    asyncio.run(ask(one, [{"role": "user", "content": "Find out."}]))
    asyncio.run(ask(other, _made_up("Find out.")))
    return "reasoning" in item_kinds(sent[-1]["input"])


@each_way_in
def test_nothing_crosses_conversations_or_models(way_in: WayIn) -> None:
    output = [R(1), C(1)]
    api = Api(output, *[[message_item("Done.", None)]] * 4)
    body = {"model": "gpt-5", "tools": [TOOL]}
    with adapter.use(conversation="one"):
        Talk(way_in, api).turn()
        way_in.create({**body, "messages": _made_up("Find out.")}, api).reraise()
        way_in.create(
            {**body, "model": "gpt-5-2025-08-07", "messages": _made_up("Find out.")}, api
        ).reraise()
        way_in.create(
            {**body, "model": "gpt-5-mini", "messages": _made_up("Find out.")}, api
        ).reraise()
    with adapter.use(conversation="two"):
        way_in.create({**body, "messages": _made_up("Find out.")}, api).reraise()
    assert [item_kinds(sent["input"]).count("reasoning") for sent in api.sent[1:]] == [1, 1, 0, 0]


# Which models are asked for reasoning


@each_way_in
@pytest.mark.parametrize(
    ("model", "carry", "asked"),
    [
        ("gpt-5", "auto", True),
        ("gpt-4o", "auto", False),
        ("gpt-5-chat-latest", "auto", False),
        ("acme-thinker", "auto", False),
        ("gpt-4o", "always", True),
        ("acme-thinker", "always", True),
        ("gpt-5", "never", False),
    ],
)
def test_which_models_are_asked_for_reasoning(
    model: str, carry: str, *, asked: bool, way_in: WayIn
) -> None:
    api = Api([R(1), C(1)], [message_item("Done.", None)], model=model)
    talk = Talk(way_in, api, model=model, carry_reasoning=carry)
    talk.turns(2)
    assert [sent.get("include") for sent in api.sent] == [ENCRYPTED if asked else None] * 2
    assert ("reasoning" in item_kinds(api.sent[1]["input"])) is (carry != "never")


@each_way_in
def test_what_the_caller_asks_for_stays(way_in: WayIn) -> None:
    api = Api([message_item("Hi.", None)])
    more = {
        "extra_body": {"include": ["reasoning.encrypted_content", "web_search_call.action.sources"]}
    }
    way_in.create(
        {"model": "gpt-5", "messages": [{"role": "user", "content": "Hi."}], **more}, api
    ).reraise()
    assert api.sent[0]["include"] == [
        "reasoning.encrypted_content",
        "web_search_call.action.sources",
    ]


# Reasoning that the API refuses


def _refusing(
    code: str | None,
    message: str,
    param: str | None,
    when: Callable[[Item], bool],
    *outputs: Sequence[Item],
) -> tuple[Api, Any]:
    """Return an API that refuses some requests."""
    api = Api(*outputs)

    def answer(sent: Sent) -> Reply:
        body = sent.json()
        if when(body):
            api.sent.append(body)
            error = {
                "message": message,
                "type": "invalid_request_error",
                "param": param,
                "code": code,
            }
            return Reply.of_json({"error": error}, 400)
        return api(sent)

    return api, answer


NOT_SUPPORTED = "Encrypted content is not supported with this model."


@each_way_in
@each_form
@pytest.mark.parametrize(
    "message", [NOT_SUPPORTED, "Invalid value: 'reasoning.encrypted_content'."]
)
def test_a_model_without_encrypted_reasoning(message: str, stream: bool, way_in: WayIn) -> None:
    api, answer = _refusing(
        None, message, "include", lambda body: "include" in body, *[[message_item("Hi.", None)]] * 3
    )
    body = {"model": "o9", "messages": [{"role": "user", "content": "Hi."}]}
    ask = way_in.stream if stream else way_in.create
    first = ask(body, answer, carry_reasoning="always")
    second = ask(body, answer, carry_reasoning="always")
    first.reraise()
    second.reraise()
    assert ["include" in sent for sent in api.sent] == [True, False, False], (
        "asked once, and remembered"
    )
    assert first.ledger == [("$", "dropped")]
    assert second.ledger == []
    ask({**body, "model": "o8"}, answer, carry_reasoning="always").reraise()
    assert "include" in api.sent[-2], "another model is asked"


@each_way_in
def test_a_caller_that_asks_for_it_gets_the_error(way_in: WayIn) -> None:
    api, answer = _refusing(None, NOT_SUPPORTED, "include", lambda body: "include" in body)
    more = {"extra_body": {"include": ["reasoning.encrypted_content"]}}
    seen = way_in.create(
        {"model": "gpt-5", "messages": [{"role": "user", "content": "Hi."}], **more}, answer
    )
    assert NOT_SUPPORTED in str(seen.error)
    assert len(api.sent) == 1


REFUSALS = {
    "invalid_encrypted_content": (
        "invalid_encrypted_content",
        "The encrypted content gAAA... could not be verified.",
        None,
    ),
    "a message alone": (
        None,
        "The encrypted content for item rs_1 could not be verified.",
        "input",
    ),
    "the item": ("invalid_value", "Invalid value.", "input[1]"),
    "an orphan": (
        None,
        "Item 'rs_1' of type 'reasoning' was provided without its required following item.",
        "input",
    ),
}


@each_way_in
@each_form
@pytest.mark.parametrize("refusal", REFUSALS)
def test_reasoning_that_is_refused(refusal: str, stream: bool, way_in: WayIn) -> None:
    code, message, param = REFUSALS[refusal]

    def holds(body: Any) -> bool:
        return any(item.get("encrypted_content") == "gAAAA-1" for item in body["input"])

    api, answer = _refusing(
        code, message, param, holds, [R(1), C(1)], [R(2), C(2)], [message_item("Done.", None)]
    )
    talk = Talk(way_in, answer, stream=stream)
    talk.turn()
    second = talk.turn()
    assert second.ledger == [("messages[1]", "dropped")]
    third = talk.turn()
    assert third.ledger == []
    kinds = [
        [item["encrypted_content"] for item in sent["input"] if item.get("type") == "reasoning"]
        for sent in api.sent
    ]
    assert kinds == [[], ["gAAAA-1"], ["gAAAA-1"], [], ["gAAAA-2"]], (
        "once with the item's id and once without; then it is forgotten, but not later ones"
    )
    assert all(sent["include"] == ENCRYPTED for sent in api.sent)


@each_way_in
def test_a_server_that_insists_on_ids(way_in: WayIn) -> None:
    def lacks(body: Any) -> bool:
        return any(item.get("type") == "reasoning" and "id" not in item for item in body["input"])

    api, answer = _refusing("missing_required_parameter", "Missing required parameter.",
        "input[1].id", lacks,
                            [R(1), C(1)], [R(2), C(2)], [message_item("Done.", None)])  # fmt: skip
    talk = Talk(way_in, answer)
    talk.turns(3)
    found = [
        [item.get("id") for item in sent["input"] if item.get("type") == "reasoning"]
        for sent in api.sent
    ]
    assert found == [[], [None], ["rs_1"], ["rs_1", "rs_2"]]


@each_way_in
def test_other_errors_are_the_callers(way_in: WayIn) -> None:
    message, param = "Invalid value.", "input[2].output"
    api, answer = _refusing(
        "invalid_value", message, param, lambda body: len(body["input"]) > 1, [R(1), C(1)]
    )
    talk = Talk(way_in, answer)
    talk.turn()
    seen = way_in.create({**talk.body, "messages": talk.history}, answer)
    assert len(api.sent) == 2
    assert getattr(seen.error, "param", None) == "messages[1].tool_calls[0].output", (
        "an index counts what was put in"
    )


@each_way_in
def test_a_second_refusal_is_the_callers(way_in: WayIn) -> None:
    api, answer = _refusing(
        "invalid_encrypted_content", "no", None, lambda body: len(body["input"]) > 1, [R(1), C(1)]
    )
    talk = Talk(way_in, answer)
    talk.turn()
    seen = way_in.create({**talk.body, "messages": talk.history}, answer)
    assert getattr(seen.error, "code", None) == "invalid_encrypted_content"
    assert len(api.sent) == 4, "with the item's id as well"


# Flags that flip, and calls that fall back


@each_way_in
def test_nothing_is_sent_that_chat_does_not_know(way_in: WayIn) -> None:
    api = Api([R(1), C(1)], [R(2), C(2)], [message_item("Done.", None)])
    chat: list[Item] = []

    def answer(sent: Sent) -> Reply:
        if sent.path.endswith("/responses"):
            return api(sent)
        chat.append(sent.json())
        return Reply.of_json(CHAT_COMPLETION)

    talk = Talk(way_in, answer)
    talk.turn()
    body = {**talk.body, "messages": list(talk.history)}
    way_in.create(body, answer, backend="chat").reraise()
    assert chat == [body]
    talk.turns(2)
    assert item_kinds(api.sent[-1]["input"]).count("reasoning") == 2, (
        "what was there before the flip still is"
    )


@each_way_in
def test_a_call_that_falls_back_goes_as_it_came(way_in: WayIn) -> None:
    api = Api([R(1), C(1)])
    chat: list[Item] = []

    def answer(sent: Sent) -> Reply:
        if not sent.path.endswith("/responses"):
            chat.append(sent.json())
            return Reply.of_json(CHAT_COMPLETION)
        return Reply.of_json({"detail": "Not Found"}, 404) if api.sent else api(sent)

    talk = Talk(way_in, answer)
    talk.turn()
    body = {**talk.body, "messages": list(talk.history)}
    way_in.create(body, answer).reraise()
    assert chat == [body]


# Streams that are abandoned, and read in pieces


@each_way_in
@pytest.mark.parametrize("leaving", ["break", "close", "with"])
def test_a_stream_that_is_left_when_its_call_is_complete(leaving: Any, way_in: WayIn) -> None:
    parts = events([R(1), message_item("Looking."), C(1)], model="gpt-5")
    for after in range(1, len(parts)):
        adapter.forget(conversation=f"c-{after}")
        api = Api([message_item("Done.", None)])
        body = {
            "model": "gpt-5",
            "tools": [TOOL],
            "messages": [{"role": "user", "content": "Find out."}],
        }
        with adapter.use(conversation=f"c-{after}"):
            seen = way_in.stream(
                body, lambda _: Reply.of_sse(parts), after=after, leaving=leaving
            )  # called at once
            written = "".join(
                part.function.arguments or ""
                for chunk in seen.chunks
                for one in chunk.choices
                for part in one.delta.tool_calls or []
            )
            way_in.create({**body, "messages": _made_up("Find out.")}, api).reraise()
        recalled = "reasoning" in item_kinds(api.sent[0]["input"])
        complete = written == '{"key": "value"}'
        # SDKs 1.x don't close an abandoned stream: a call counts as complete only if the upstream
        # stream has ended.
        assert recalled is complete or (complete and leaving == "break" and SDK < (2, 0))


@each_way_in
def test_a_stream_in_the_smallest_pieces(way_in: WayIn) -> None:
    api = Api([message_item("Done.", None)])
    body = {
        "model": "gpt-5",
        "tools": [TOOL],
        "messages": [{"role": "user", "content": "Find out."}],
    }
    parts = every(1)(b"".join(events([R(1), message_item("½"), C(1)], model="gpt-5")))
    way_in.stream(body, lambda _: Reply.of_sse(parts)).reraise()
    way_in.create({**body, "messages": _made_up("Find out.")}, api).reraise()
    assert reasoning_items([R(1)])[0] in api.sent[0]["input"]


# Real recordings


def _with_calls() -> list[Any]:
    def output(one: corpus.Recording) -> list[Item]:
        if one.sse is None:
            return one.response.get("output") or []
        ends = [
            data["response"]
            for _, data in one.sse
            if isinstance(data, dict) and data.get("type") == "response.completed"
        ]
        return ends[0].get("output") or [] if ends else []

    found = []
    for one in corpus.select(api="responses", ok=True):
        items = output(one)
        kinds = [item.get("type") for item in items]
        encrypted = any(
            item.get("type") == "reasoning" and item.get("encrypted_content") for item in items
        )
        if encrypted and "function_call" in kinds:
            found.append((one, items))
    return found


@needs_corpus
@pytest.mark.parametrize("way_in", [SYNC, ASYNC], ids=["sync", "async"])
@each_form
def test_what_the_api_really_gave(
    stream: bool, way_in: WayIn, capsys: pytest.CaptureFixture[str]
) -> None:
    """Three recorded replies make a loop: later requests hold their reasoning byte for byte."""
    recorded = [one for one in _with_calls() if (one[0].sse is not None) is stream]
    assert len(recorded) > 5
    for k in range(len(recorded)):
        three = [recorded[(k + step) % len(recorded)] for step in range(3)]
        sent: list[Item] = []

        def answer(request: Sent, three: Any = three, sent: list[Item] = sent) -> Reply:
            one = three[len(sent)][0]
            sent.append(request.json())
            return Reply.of_sse(corpus.sse_events(one)) if stream else Reply.of_json(one.response)

        with adapter.use(conversation=f"c-{k}"):
            talk = Talk(way_in, answer, stream=stream)
            talk.turns(3)
        for turn in (1, 2):
            expected = [
                item
                for _, items in three[:turn]
                for item in items
                if item["type"] in ("reasoning", "message", "function_call")
            ]
            got = [
                item
                for item in sent[turn]["input"][1:]
                if item.get("type") in ("reasoning", "message", "function_call")
            ]
            assert item_kinds(got) == item_kinds(expected), three[0][0].id
            expected_reasoning = [item for item in expected if item["type"] == "reasoning"]
            got_reasoning = [item for item in got if item["type"] == "reasoning"]
            assert got_reasoning == without_ids(expected_reasoning), three[0][0].id
    with capsys.disabled():
        form = "streams" if stream else "whole replies"
        print(
            f"\n{len(recorded)} recorded {form} with reasoning and calls, "
            f"{'async' if way_in.asynchronous else 'sync'}: all came back in place"
        )


# Other processes, other machines


PROCESS = """
import json, sys
import adapter
from tests.support.scenarios import as_history
from tests.support.tool_loop import TOOL, answered

base_url, memory, history = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
settings = adapter.Settings(backend="responses", memory=memory, memory_timeout=10)
with adapter.OpenAI(base_url=base_url, api_key="key", max_retries=0, settings=settings) as client:
    result = client.chat.completions.create(model="gpt-5", messages=history, tools=[TOOL])
print(json.dumps(history + answered(as_history(result.choices[0].message))))
"""


def _loop_over_processes(memory: str, loopback: Loopback) -> list[Item]:
    """Run each turn of a loop in its own process; return the inputs that were sent."""
    outputs = [[R(1), message_item("Looking."), C(1)], [R(2), C(2)], [message_item("Done.", None)]]
    sent: list[Item] = []

    def answer(request: Any) -> Answer:
        sent.append(json.loads(request.body))
        return Answer.of_json(response(*outputs[len(sent) - 1], model="gpt-5"))

    loopback.answer = answer
    history: list[Item] = [{"role": "user", "content": "Find out."}]
    for _ in range(3):
        command = [sys.executable, "-c", PROCESS, loopback.base_url, memory, json.dumps(history)]
        here = Path(__file__).resolve().parents[2]
        history = json.loads(
            subprocess.run(command, capture_output=True, text=True, check=True, cwd=here).stdout
        )
    return [body["input"] for body in sent]


def _assert_all_there(inputs: list[Any]) -> None:
    expected = [
        R(1),
        message_item("Looking."),
        C(1),
        {"type": "function_call_output", "call_id": random_id(1), "output": "ok"},
        R(2),
        C(2),
    ]
    assert inputs[2][1:-1] == [
        sent_form(item) if item["type"] != "function_call_output" else item for item in expected
    ]
    assert inputs[1][1:] == inputs[2][1 : len(inputs[1])]


@pytest.mark.slow
def test_in_another_process(tmp_path: Path, loopback: Loopback) -> None:
    _assert_all_there(_loop_over_processes(sqlite_url(tmp_path), loopback))


@pytest.mark.slow
@needs_redis
def test_on_another_machine(shared_redis: RedisServer, loopback: Loopback) -> None:
    _assert_all_there(_loop_over_processes(shared_redis.url, loopback))


@pytest.mark.parametrize("kind", ["memory", "sqlite", "redis", "own", "sealed"])
@each_way_in
@each_form
def test_every_store_through_every_way_in(
    kind: str, stream: bool, way_in: WayIn, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    more: dict[str, Any] = {"memory_timeout": 10}
    if kind == "redis":
        if needs_redis.args[0]:
            pytest.skip(needs_redis.kwargs["reason"])
        more["memory"] = request.getfixturevalue("shared_redis").url
    elif kind == "own":
        more["memory"] = DictStore()
    elif kind in ("sqlite", "sealed"):
        more["memory"] = sqlite_url(tmp_path)
        if kind == "sealed":
            pytest.importorskip("cryptography")
            more["memory_key"] = ("QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVowMTIzNDU=",)
    api = Api([R(1), C(1)], [R(2), C(2)], [message_item("Done.", None)])
    with adapter.use(conversation=f"{kind} {stream} {way_in.name} {os.getpid()}"):
        Talk(way_in, api, stream=stream, **more).turns(3)
    assert item_kinds(api.sent[2]["input"]) == [
        "user",
        *["reasoning", "function_call", "function_call_output"] * 2,
    ]


# Forgetting


@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
@pytest.mark.parametrize("kind", ["memory", "sqlite", "own"])
def test_forgetting(kind: str, asynchronous: bool, tmp_path: Path) -> None:
    memory: Any = {"memory": "memory://", "sqlite": sqlite_url(tmp_path), "own": DictStore()}[kind]
    settings = Settings(memory=memory, memory_timeout=10)

    def forget(**what: str) -> int:
        if asynchronous:
            return asyncio.run(adapter.aforget(**what, settings=settings))
        return adapter.forget(**what, settings=settings)

    for scope in ("here", "there"):
        for conversation in ("one", "two"):
            with adapter.use(conversation=conversation):
                Talk(
                    SYNC, Api([R(1), C(1)]), memory=memory, memory_scope=scope, memory_timeout=10
                ).turn()
    assert forget(conversation="one", scope="here") == 1
    assert forget(conversation="one") == 1
    assert forget(scope="here") == 1
    assert forget(scope="here") == 0
    assert forget(conversation="two") == 1


def test_forget_needs_a_conversation_or_a_scope() -> None:
    with pytest.raises(adapter.AdapterError, match="expected a conversation, a scope, or both"):
        adapter.forget()


def test_forget_raises_when_the_store_fails(tmp_path: Path) -> None:
    (tmp_path / "memory.db").write_bytes(
        b"no database at all, and long enough to be read as one" * 20
    )
    with pytest.raises(adapter.AdapterError, match=r"forget: the store failed \(DatabaseError\)"):
        adapter.forget(scope="x", settings=Settings(memory=sqlite_url(tmp_path)))


def test_as_history_keeps_spec_fields_only() -> None:
    """The middleware of these tests keeps only standard fields."""
    from openai.types.chat import ChatCompletionMessage

    message = ChatCompletionMessage.model_validate(
        {"role": "assistant", "content": "x", "refusal": None, "phase": "y", "tool_calls": None}
    )
    assert as_history(message) == {"role": "assistant", "content": "x"}


# Found by review


@each_way_in
def test_two_refusals_in_a_row(way_in: WayIn) -> None:
    api = Api([R(1), C(1)], [message_item("Done.", None)])

    def answer(sent: Sent) -> Reply:
        body = sent.json()
        refused = next(
            (k for k, item in enumerate(body["input"]) if item.get("type") == "reasoning"), None
        )
        if refused is None:
            return api(sent)
        api.sent.append(body)
        lacks = "id" not in body["input"][refused]
        error = (
            {"code": "x", "param": f"input[{refused}].id"}
            if lacks
            else {"code": "invalid_encrypted_content", "param": None}
        )
        return Reply.of_json(
            {"error": {"message": "No.", "type": "invalid_request_error", **error}}, 400
        )

    talk = Talk(way_in, answer)
    talk.turns(2)
    assert [
        [item.get("id", "") for item in sent["input"] if item.get("type") == "reasoning"]
        for sent in api.sent
    ] == [
        [],
        [""],
        ["rs_1"],
        [],
    ]


@each_way_in
def test_an_error_that_quotes_the_caller_is_no_refusal(way_in: WayIn) -> None:
    api, answer = _refusing("invalid_value", "Invalid: 'reasoning.encrypted_content'.",
        "tools[0].name", lambda body: "tools" in body,
                            [message_item("Hi.", None)])  # fmt: skip
    tool = {"type": "function", "function": {"name": "reasoning.encrypted_content"}}
    body = {"model": "gpt-5", "messages": [{"role": "user", "content": "Hi."}]}
    assert way_in.create({**body, "tools": [tool]}, answer).error is not None
    way_in.create(body, answer).reraise()
    assert [sent.get("include") for sent in api.sent] == [ENCRYPTED] * 2


def _shared(first: dict[str, Any], second: dict[str, Any]) -> bool:
    plain: dict[str, Any] = {"api_key": "key"}
    return _recalled({**plain, **first}, {**plain, **second})


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (
            {"api_key": "alice", "default_headers": {"api-key": "product"}},
            {"api_key": "bob", "default_headers": {"api-key": "product"}},
        ),
        (
            {"default_headers": {"Ocp-Apim-Subscription-Key": "alice"}},
            {"default_headers": {"Ocp-Apim-Subscription-Key": "bob"}},
        ),
        ({"default_query": {"tenant": "a"}}, {"default_query": {"tenant": "b"}}),
    ],
    ids=["a gateway's key beside the own", "a gateway's subscription", "a tenant in the query"],
)
def test_callers_that_differ_in_one_thing_share_nothing(
    one: dict[str, Any], other: dict[str, Any]
) -> None:
    assert _shared(one, one)
    assert not _shared(one, other)


@each_way_in
def test_half_of_a_turn_is_not_put_back(way_in: WayIn) -> None:
    """The second half of the turn couldn't be stored: the first alone doesn't match the message."""

    class Once(DictStore):
        def put(self, name: str, value: bytes) -> None:
            if self.values:
                raise OSError
            super().put(name, value)

    store = Once()
    api = Api([R(1), C(1), R(2), C(2)], [message_item("Done.", None)])
    Talk(way_in, api, stream=True, memory=store, memory_timeout=10).turns(2)
    assert store.values
    assert "reasoning" not in item_kinds(api.sent[1]["input"])


def test_the_collector_or_a_signal_in_the_middle_of_a_method_waits_for_nothing() -> None:
    store = InMemoryStore(count=10, size=10_000, age=60)
    store.put("a", "a", 10)

    class Meddling(str):
        __slots__ = ()

        def __hash__(self) -> int:
            store.put("b", "b", 10)
            store.delete(["a"])
            assert store.find("a") is None
            return hash("a")

        def __eq__(self, other: object) -> bool:
            return other == "a"

    assert store.find(Meddling("a")) == "a"
    assert store.get(["a", "b"]) == {"a": "a"}
