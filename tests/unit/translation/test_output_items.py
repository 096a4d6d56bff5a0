"""Every type of output item in the SDK is known: an answer, a step, or one that waits for a client.

An item that Chat has no place for is a loss beside text and calls. Alone it is either no answer at
all (a step: the reply is empty) or an answer that Chat can't represent (an error), so a new type
needs a decision: `docs/mapping.md#output-items`.
"""

from __future__ import annotations

import pytest
from openai.types.responses import ResponseOutputItem

from adapter import read
from adapter.errors import MalformedReply, UpstreamFailure
from adapter.translation import response_to_completion
from adapter.translation.objects.output_items import CALL_TYPES
from adapter.translation.replies import stored
from adapter.translation.replies.empty_answers import _STEPS, _WAITING
from tests.support.answers import message_item, response
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
