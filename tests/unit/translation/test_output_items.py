"""Every type of output item in the SDK is known: an answer, a step, or one that waits for a client.

An item that Chat has no place for is a loss beside text and calls. Alone it is either no answer at
all (a step: the reply is empty) or an answer that Chat can't represent (an error), so a new type
needs a decision: `docs/mapping.md#output-items`.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import openai
import pytest
from openai.types.responses import ResponseOutputItem

from adapter import read
from adapter.errors import AdapterError, MalformedReply, UpstreamFailure
from adapter.translation import ChunksFromEvents, response_to_completion
from adapter.translation.objects.call_types import CALL_TYPES
from adapter.translation.replies import stored
from adapter.translation.replies.empty_answers import _STEPS, _WAITING
from tests.support.answers import call_item, message_item, response
from tests.unit.translation.test_stream_table import members, types_of

SDK = frozenset(kind for item in members(ResponseOutputItem) for kind in types_of(item))

ANSWERS = frozenset({"code_interpreter_call", "image_generation_call", "program"})
"""Items with an answer that isn't text."""

DECIDED = _STEPS | _WAITING | ANSWERS | {"message", *CALL_TYPES}


def test_the_walk_finds_the_union() -> None:
    assert {"message", "function_call", "reasoning"} <= SDK
    assert len(SDK) >= 5


@pytest.mark.parametrize("kind", sorted(SDK))
def test_every_type_of_the_sdk_is_decided(kind: str) -> None:
    assert kind in DECIDED or kind.endswith("_output"), (
        "a new type of output item: put it into _STEPS or _WAITING of replies/empty_answers.py, "
        "or into ANSWERS here if it is an answer, and into docs/mapping.md#output-items"
    )


def item(kind: str) -> dict[str, object]:
    """Make an item of a type that Chat has no place for."""
    return {"type": kind, "id": "x_1", "status": "completed", "call_id": "c_1"}


@pytest.mark.parametrize(
    "kind", [*sorted(_STEPS.difference(CALL_TYPES) - _WAITING), "web_thing_output"]
)
def test_a_step_alone_is_an_empty_answer(kind: str) -> None:
    made = response_to_completion(response(item(kind)))
    assert made.body["choices"][0]["message"]["content"] == ""
    assert made.body["choices"][0]["finish_reason"] == "stop"


@pytest.mark.parametrize("kind", ["image_generation_call", "shell_call", "a_new_item"])
def test_an_answer_of_another_kind_alone_is_an_error(kind: str) -> None:
    with pytest.raises(UpstreamFailure, match=kind):
        response_to_completion(response(item(kind)))


@pytest.mark.parametrize("kind", ["web_search_call", "image_generation_call", "a_new_item"])
def test_beside_text_it_is_a_loss(kind: str) -> None:
    made = response_to_completion(response(item(kind), message_item("Hello")))
    assert made.body["choices"][0]["message"]["content"] == "Hello"
    assert [(loss.path, loss.action) for loss in made.losses] == [("output[0]", "dropped")]


@pytest.mark.parametrize("kind", [[], {}, 5, ["function_call"]], ids=repr)
def test_a_type_that_is_no_string_is_no_bug_of_ours(kind: object) -> None:
    beside = response({"type": kind}, message_item("Hello"))
    made = response_to_completion(beside)
    assert made.body["choices"][0]["message"]["content"] == "Hello"
    assert [(loss.path, loss.action) for loss in made.losses] == [("output[0]", "dropped")]
    assert read(beside).text == "Hello"
    with pytest.raises(MalformedReply, match=r"output\[0\]\.type"):
        response_to_completion(response({"type": kind}))
    assert stored.messages({"data": [{"type": kind}]})["data"] == []


# Any value anywhere

ODD: list[Any] = [[], ["SECRET"], {}, {"SECRET": 1}, 7, 1.5, True, None]

ITEMS: dict[str, dict[str, Any]] = {
    "a message": message_item(),
    "a call": call_item(),
    "a custom call": {"type": "custom_tool_call", "id": "c", "call_id": "c_9", "name": "f",
                      "input": "x"},
    "reasoning": {"type": "reasoning", "id": "rs_1", "encrypted_content": "E",
                  "summary": [{"type": "summary_text", "text": "t"}],
                  "content": [{"type": "reasoning_text", "text": "z"}]},
    "a step": {"type": "web_search_call", "id": "w", "status": "completed"},
    "an answer of another kind": {"type": "image_generation_call", "id": "i"},
    "one that waits": {"type": "shell_call", "id": "s", "call_id": "c_3"},
    "the output of a call": {"type": "shell_call_output", "id": "o", "call_id": "c_3"},
}  # fmt: skip


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Give the path of each value inside a value."""
    pairs = value.items() if isinstance(value, dict) else enumerate(value)
    for key, inner in pairs:
        yield (*path, key)
        if isinstance(inner, dict | list):
            yield from places(inner, (*path, key))


def replaced(value: Any, path: tuple[Any, ...], by: Any) -> Any:
    """Return a copy with another value at a path."""
    made = copy.deepcopy(value)
    target = made
    for key in path[:-1]:
        target = target[key]
    target[path[-1]] = by
    return made


def _read_whole(body: dict[str, Any]) -> None:
    response_to_completion(body)


def _read_stored(body: dict[str, Any]) -> None:
    stored.retrieved(body)


def _read_history(body: dict[str, Any]) -> None:
    stored.messages({"data": body["output"], "has_more": False}, newest_first=False)


def _events(body: dict[str, Any]) -> list[dict[str, Any]]:
    started = body | {"output": [], "status": "in_progress"}
    given = {"output_index": 0, "item": body["output"][0]}
    return [
        {"type": "response.created", "response": started},
        {"type": "response.output_item.added", **given},
        {"type": "response.output_item.done", **given},
        {"type": "response.completed", "response": body},
    ]


def _read_stream(body: dict[str, Any]) -> None:
    machine = ChunksFromEvents()
    for event in _events(body):
        machine.feed(event)
    machine.close()


def _read_neutrally(body: dict[str, Any]) -> None:
    read(body)


def _read_neutral_stream(body: dict[str, Any]) -> None:
    list(read(_events(body)))


READERS: list[Callable[[dict[str, Any]], None]] = [
    _read_whole, _read_stored, _read_history, _read_stream, _read_neutrally, _read_neutral_stream,
]  # fmt: skip


@pytest.mark.parametrize("beside", [[], [message_item("Hello")]], ids=["alone", "beside text"])
@pytest.mark.parametrize("reader", READERS, ids=lambda one: one.__name__)
@pytest.mark.parametrize("kind", ITEMS)
def test_any_value_anywhere_is_read_or_refused(
    kind: str, reader: Callable[[dict[str, Any]], None], beside: list[Any]
) -> None:
    whole, tried = response(ITEMS[kind], *beside), 0
    for path in places(whole["output"][0]):
        for value in ODD:
            with suppress(AdapterError, openai.APIError):  # an error of ours, and no other
                reader(replaced(whole, ("output", 0, *path), value))
            tried += 1
    assert tried >= len(ODD) * 2


@pytest.mark.parametrize("value", [["x"], {"x": 1}, 7], ids=["a list", "an object", "a number"])
def test_a_part_of_no_known_type_alone_is_an_error(value: Any) -> None:
    body = replaced(response(message_item()), ("output", 0, "content", 0, "type"), value)
    with pytest.raises(UpstreamFailure, match=r"output\[0\]\.content\[0\]"):
        response_to_completion(body)


@pytest.mark.parametrize("value", ["c_3", ["x"], {"x": 1}, 7, None], ids=repr)
def test_a_call_with_its_output_no_longer_waits(value: Any) -> None:
    call, output = (ITEMS[kind] | {"call_id": value} for kind in ("one that waits", "a step"))
    waits = response(call, output | {"type": "computer_call_output"})
    with pytest.raises(
        UpstreamFailure, match="shell_call, which"
    ):  # it doesn't wait, nor is it text
        response_to_completion(waits)
    with pytest.raises(UpstreamFailure, match="needs a client-side result"):
        response_to_completion(response(call))
