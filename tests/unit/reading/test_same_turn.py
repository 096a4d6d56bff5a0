"""`assert_same_turn`: which turns are equal, and what the message shows if they aren't."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from openai.types.chat import ChatCompletion

import adapter
from adapter.testing import assert_same_turn
from adapter.testing.comparison import differing
from tests.support import answer_forms
from tests.support.answer_forms import AnswerParts, Called

WRITERS: dict[str, Callable[[AnswerParts], Any]] = {
    "completion": answer_forms.completion,
    "response": answer_forms.response,
    "chunks": lambda said: list(answer_forms.chunks(said)),
    "events": lambda said: list(answer_forms.events(said)),
}
TEXT = AnswerParts(("Hello ", "there"))
CALL = AnswerParts(calls=(Called("get_weather", ('{"city": ', '"Oslo"}')),))


@pytest.mark.parametrize("said", [TEXT, CALL], ids=["text", "call"])
@pytest.mark.parametrize("a", WRITERS)
@pytest.mark.parametrize("b", WRITERS)
def test_the_same_is_the_same_in_every_form(a: str, b: str, said: AnswerParts) -> None:
    assert_same_turn(WRITERS[a](said), WRITERS[b](said))
    turn = adapter.read(WRITERS["completion"](said))
    assert_same_turn(turn, WRITERS[b](said))


def called(*calls: tuple[str, str]) -> AnswerParts:
    return AnswerParts(
        calls=tuple(
            Called(name, (arguments,), f"call_{number}")
            for number, (name, arguments) in enumerate(calls)
        )
    )


Row = tuple[AnswerParts, AnswerParts, list[str]]
DIFFERENT: dict[str, Row] = {
    "a word": (AnswerParts(("on Friday",)), AnswerParts(("on Monday",)), ["text:", "- on Friday", "+ on Monday"]),
    "a line": (AnswerParts(("a\nb",)), AnswerParts(("a\nb\nc",)), ["text:", "a", "b", "+ c"]),
    "no text": (TEXT, AnswerParts(("",)), ["text:", "- Hello there", "+"]),
    "another tool": (called(("f", "{}")), called(("g", "{}")), ["tool_calls[0].name: 'f' != 'g'"]),
    "a value": (
        called(("f", '{"a": {"b": [1, 2]}}')),
        called(("f", '{"a": {"b": [1, 3]}}')),
        ["tool_calls[0].arguments.a.b[1]: 2 != 3"],
    ),
    "a type": (
        called(("f", '{"a": 1}')),
        called(("f", '{"a": true}')),
        ["tool_calls[0].arguments.a: 1 != true"],
    ),
    "a key": (
        called(("f", '{"a": 1}')),
        called(("f", '{"b": 1}')),
        [
            "tool_calls[0].arguments.a: only in the first",
            "tool_calls[0].arguments.b: only in the second",
        ],
    ),
    "no JSON": (
        called(("f", '{"a"')),
        called(("f", '{"a": 1}')),
        ["tool_calls[0].arguments:", '- {"a"', '+ {"a": 1}'],
    ),
    "a call more": (
        called(("f", "{}"), ("g", "{}")),
        called(("f", "{}")),
        ["tool_calls: 2 (f, g) != 1 (f)"],
    ),
    "order": (called(("f", "{}"), ("g", "{}")), called(("g", "{}"), ("f", "{}")),
              ["tool_calls[0].name: 'f' != 'g'", "tool_calls[1].name: 'g' != 'f'"]),
}  # fmt: skip


@pytest.mark.parametrize("case", DIFFERENT)
def test_differences_are_shown(case: str) -> None:
    a, b, lines = DIFFERENT[case]
    with pytest.raises(AssertionError, match="the turns differ") as caught:
        assert_same_turn(answer_forms.completion(a), answer_forms.response(b))
    shown = [" ".join(line.split()) for line in str(caught.value).splitlines()[1:]]
    assert [line for line in shown if not line.startswith("finish:")] == lines


@pytest.mark.parametrize(
    ("a", "b"), [("a", "a\n"), ("a\r\nb", "a\nb"), ("a ", "a"), ("é", "e\u0301")]
)
def test_invisible_differences_are_escaped(a: str, b: str) -> None:
    with pytest.raises(AssertionError) as caught:
        assert_same_turn(
            answer_forms.completion(AnswerParts((a,))), answer_forms.response(AnswerParts((b,)))
        )
    assert f"text: {a!a} != {b!a}" in str(caught.value)


def several(*texts: str) -> dict[str, Any]:
    choices = [
        {"index": index, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
        for index, text in enumerate(texts)
    ]
    return {"object": "chat.completion", "id": "c", "created": 1, "model": "m", "choices": choices}


@pytest.mark.parametrize("made", [dict, ChatCompletion.model_validate], ids=["plain", "SDK"])
def test_all_choices_count(made: Any) -> None:
    two = made(several("a", "b"))
    assert_same_turn(two, made({**several(), "choices": several("a", "b")["choices"][::-1]}))
    with pytest.raises(AssertionError, match=r"choices\[1\] text:\n +- b\n +\+ c"):
        assert_same_turn(two, made(several("a", "c")))
    with pytest.raises(AssertionError, match="choices: 2 != 1"):
        assert_same_turn(two, made(several("a")))
    with pytest.raises(AssertionError, match="choices: 2 != 1"):
        assert_same_turn(adapter.read(two), answer_forms.response(AnswerParts(("a",))))


def test_of_streams_the_first_choice_counts() -> None:
    assert_same_turn(several("a", "b"), list(answer_forms.chunks(AnswerParts(("a",)))))


def test_json_white_space_and_ids_are_ignored() -> None:
    assert_same_turn(
        answer_forms.completion(called(("f", '{"a":1}'))),
        answer_forms.response(called(("f", '{ "a" : 1 }'))),
    )


def test_a_refusal_is_not_text() -> None:
    words = "I can't help with that."
    refused = AnswerParts(refusal=(words,))
    lines = list(
        differing(
            adapter.read(answer_forms.completion(refused)),
            adapter.read(answer_forms.response(AnswerParts((words,)))),
        )
    )
    assert any(line.strip().startswith("refusal: ") for line in lines)


async def test_an_async_stream_has_to_be_read_first() -> None:
    async def stream() -> Any:
        yield {}

    with pytest.raises(TypeError, match="read an async stream first"):
        assert_same_turn(stream(), answer_forms.completion(TEXT))
