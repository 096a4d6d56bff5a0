"""`read()`: one shape and one sequence of events from either API, streamed or not."""

from __future__ import annotations

import copy
import pickle
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any

import openai
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai._models import construct_type
from openai.types.chat import ChatCompletion
from openai.types.responses import Response

import adapter
from adapter import (
    Citation,
    Finished,
    ReasoningDelta,
    RefusalDelta,
    TextDelta,
    ToolCall,
    ToolCallDelta,
    ToolCallDone,
    ToolCallStarted,
    Turn,
    Usage,
    read,
)
from tests.support import answer_forms
from tests.support.answer_forms import AnswerParts, Called

WEATHER = Called("get_weather", ('{"ci', 'ty":"Oslo"}'))
SECOND = Called("get_time", ('{"zone":"CET"}',), id="call_2")
GRAMMAR = Called("sql", ("select", " 1"), id="call_3", custom=True)
USAGE = Usage(5, 3, 8, cached_tokens=2, cache_write_tokens=1, reasoning_tokens=1)


def call(called: Called, **more: Any) -> ToolCall:
    kind: Any = "custom" if called.custom else "function"
    return ToolCall(called.id, called.name, called.arguments, type=kind, **more)


CASES: dict[str, tuple[AnswerParts, dict[str, Any], list[Any]]] = {
    "text": (AnswerParts(("Hel", "lo")), {"text": "Hello"}, [TextDelta("Hel"), TextDelta("lo")]),
    "empty": (AnswerParts(), {"text": ""}, []),
    "no_usage": (
        AnswerParts(("Hi",), usage=False),
        {"text": "Hi", "usage": None},
        [TextDelta("Hi")],
    ),
    "refusal": (
        AnswerParts(refusal=("I'm", " sorry")),
        {"text": "", "refusal": "I'm sorry"},
        [RefusalDelta("I'm"), RefusalDelta(" sorry")],
    ),
    "reasoning": (
        AnswerParts(("Yes",), reasoning=("Let me", " see")),
        {"text": "Yes", "reasoning_summary": "Let me see"},
        [ReasoningDelta("Let me"), ReasoningDelta(" see"), TextDelta("Yes")],
    ),
    "call": (
        AnswerParts(calls=(WEATHER,)),
        {"finish": "tool_calls", "tool_calls": (call(WEATHER),)},
        [
            ToolCallStarted("get_weather", "call_1", 0),
            ToolCallDelta('{"ci', "call_1", 0),
            ToolCallDelta('ty":"Oslo"}', "call_1", 0),
            ToolCallDone("get_weather", '{"city":"Oslo"}', None, "call_1", 0),
        ],
    ),
    "text_and_calls": (
        AnswerParts(("Checking",), calls=(WEATHER, SECOND)),
        {"text": "Checking", "finish": "tool_calls", "tool_calls": (call(WEATHER), call(SECOND))},
        [
            TextDelta("Checking"),
            ToolCallStarted("get_weather", "call_1", 0),
            ToolCallDelta('{"ci', "call_1", 0),
            ToolCallDelta('ty":"Oslo"}', "call_1", 0),
            ToolCallDone("get_weather", '{"city":"Oslo"}', None, "call_1", 0),
            ToolCallStarted("get_time", "call_2", 1),
            ToolCallDelta('{"zone":"CET"}', "call_2", 1),
            ToolCallDone("get_time", '{"zone":"CET"}', None, "call_2", 1),
        ],
    ),
    "custom": (
        AnswerParts(calls=(GRAMMAR,)),
        {"finish": "tool_calls", "tool_calls": (call(GRAMMAR),)},
        [
            ToolCallStarted("sql", "call_3", 0, "custom"),
            ToolCallDelta("select", "call_3", 0),
            ToolCallDelta(" 1", "call_3", 0),
            ToolCallDone("sql", "select 1", None, "call_3", 0, type="custom"),
        ],
    ),
    "length": (
        AnswerParts(("Once",), finish="length"),
        {"text": "Once", "finish": "length"},
        [TextDelta("Once")],
    ),
    "filtered": (AnswerParts(finish="content_filter"), {"finish": "content_filter"}, []),
    "cut_call": (
        AnswerParts(calls=(Called("get_weather", ('{"ci',)),), finish="length"),
        {
            "finish": "length",
            "tool_calls": (
                ToolCall(
                    "call_1",
                    "get_weather",
                    '{"ci',
                    problem="the answer was truncated before the arguments were complete",
                ),
            ),
        },
        [ToolCallStarted("get_weather", "call_1", 0), ToolCallDelta('{"ci', "call_1", 0)],
    ),
    "cited": (
        AnswerParts(("See A.",), cited=((4, 5),)),
        {
            "text": "See A.",
            "citations": (Citation("url_citation", "https://a.example/", "A", 4, 5),),
        },
        [TextDelta("See A.")],
    ),
}
each = pytest.mark.parametrize("case", CASES)


def expected(case: str) -> Turn[Any]:
    plain: dict[str, Any] = {
        "text": "", "refusal": None, "parsed": None, "tool_calls": (), "citations": (),
        "reasoning_summary": None,
        "finish": "stop", "usage": USAGE, "id": "resp_1", "model": "gpt-4o", "raw": None,
    }  # fmt: skip
    return Turn(**plain | CASES[case][1])


async def drip(lines: Iterable[Any]) -> AsyncIterator[Any]:
    for line in lines:
        yield line


def sdk_stream(api: str, lines: list[Any], kind: Any = openai.OpenAI) -> Any:
    made = answer_forms.client(
        answer_forms.Upstream(answer_forms.sse(lines, done=api == "chat")), kind
    )
    if api == "chat":
        return made.chat.completions.create(model="m", messages=[], stream=True)
    return made.responses.create(model="m", input="…", stream=True)


def built(kind: Any, value: Any) -> Any:
    """Build an object as the SDK does, unknown fields included (`construct_type`)."""
    return construct_type(value=value, type_=kind)


WHOLES: dict[str, Callable[[AnswerParts], Any]] = {
    "completion_dict": answer_forms.completion,
    "response_dict": answer_forms.response,
    "completion": lambda said: built(ChatCompletion, answer_forms.completion(said)),
    "response": lambda said: built(Response, answer_forms.response(said)),
    "constructed_response": lambda said: Response.construct(**answer_forms.response(said)),
}
STREAMS: dict[str, Callable[[AnswerParts], Any]] = {
    "chunk_dicts": answer_forms.chunks,
    "chunk_dicts_done": lambda said: [*answer_forms.chunks(said), "[DONE]", {"junk": True}],
    "event_dicts": answer_forms.events,
    "event_generator": lambda said: iter(answer_forms.events(said)),
    "chunks": lambda said: sdk_stream("chat", answer_forms.chunks(said)),
    "events": lambda said: sdk_stream("responses", answer_forms.events(said)),
}


@each
@pytest.mark.parametrize("form", WHOLES)
def test_results(case: str, form: str) -> None:
    x = WHOLES[form](CASES[case][0])
    turn = read(x)
    assert turn == expected(case)
    assert turn.raw is x


@each
@pytest.mark.parametrize("form", STREAMS)
def test_streams(case: str, form: str) -> None:
    assert list(read(STREAMS[form](CASES[case][0]))) == [*CASES[case][2], Finished(expected(case))]


@each
@pytest.mark.parametrize("api", ["chat", "responses"])
async def test_async_streams(case: str, api: str) -> None:
    said = CASES[case][0]
    lines = answer_forms.chunks(said) if api == "chat" else answer_forms.events(said)
    through_sdk = await sdk_stream(api, lines, openai.AsyncOpenAI)
    for source in (drip(lines), through_sdk):
        assert [event async for event in read(source)] == [
            *CASES[case][2],
            Finished(expected(case)),
        ]


@each
@pytest.mark.parametrize("backend", ["chat", "responses"])
def test_our_own_clients(case: str, backend: Any) -> None:
    said = CASES[case][0]
    lines = answer_forms.chunks(said) if backend == "chat" else answer_forms.events(said)
    upstream = answer_forms.Upstream(answer_forms.sse(lines))
    settings = adapter.Settings(backend=backend, on_bug="raise")
    made = answer_forms.client(upstream, adapter.OpenAI, settings=settings)
    asked: dict[str, Any] = {"stream": True, "stream_options": {"include_usage": True}}
    *seen, last = read(
        made.chat.completions.create(
            model="m", messages=[{"role": "user", "content": "…"}], **asked
        )
    )
    # Through the adapter a Response is a completion: no reasoning, and a completion's id.
    wanted = [
        one for one in CASES[case][2] if backend == "chat" or not isinstance(one, ReasoningDelta)
    ]
    assert seen == wanted
    assert isinstance(last, Finished)
    assert last.turn.id == ("resp_1" if backend == "chat" else "chatcmpl-resp_1")
    assert (last.turn.text, last.turn.tool_calls) == (
        expected(case).text,
        expected(case).tool_calls,
    )


@each
def test_the_input_is_not_changed(case: str) -> None:
    said = CASES[case][0]
    for make in (answer_forms.completion, answer_forms.response):
        x: Any = make(said)
        read(x)
        assert x == make(said)
    for write in (answer_forms.chunks, answer_forms.events):
        lines = write(said)
        list(read(lines))
        assert lines == write(said)


@each
@pytest.mark.parametrize("write", [answer_forms.chunks, answer_forms.events])
def test_every_stream_that_stops_early_raises(
    case: str, write: Callable[[AnswerParts], Any]
) -> None:
    lines = write(CASES[case][0])
    last = (
        2 if write is answer_forms.chunks and CASES[case][0].usage else 1
    )  # the chunk with the finish reason
    for end in range(len(lines) - last + 1):
        with pytest.raises(adapter.StreamTruncated):
            list(read(lines[:end]))


@each
def test_copies_and_pickles(case: str) -> None:
    said = CASES[case][0]
    for x in (WHOLES["completion"](said), WHOLES["response"](said), answer_forms.response(said)):
        turn = read(x)
        assert copy.deepcopy(turn) == pickle.loads(pickle.dumps(turn)) == turn
        assert pickle.loads(pickle.dumps(turn)).as_items() == turn.as_items()
    for event in read(answer_forms.events(said)):
        assert pickle.loads(pickle.dumps(event)) == event


PIECES = st.lists(st.text(min_size=1, max_size=4), max_size=4).map(tuple)
CALLS = st.lists(
    st.builds(
        Called,
        st.sampled_from(["f", "g"]),
        st.one_of(PIECES, st.sampled_from([('{"a":', "1}"), ("{}",), ()])),
        id=st.uuids().map(str),
        custom=st.booleans(),
    ),
    max_size=3,
    unique_by=lambda one: one.id,
).map(tuple)
SAID = st.builds(
    AnswerParts,
    PIECES,
    PIECES,
    PIECES,
    CALLS,
    finish=st.sampled_from(["stop", "length", "content_filter"]),
    usage=st.booleans(),
)


@given(SAID)
def test_all_four_forms_are_equal(said: AnswerParts) -> None:
    turns = [read(answer_forms.completion(said)), read(answer_forms.response(said))]
    sequences = [list(read(answer_forms.chunks(said))), list(read(answer_forms.events(said)))]
    assert sequences[0] == sequences[1]
    last = sequences[0][-1]
    assert isinstance(last, Finished)
    assert turns == [last.turn] * 2
    assert "".join(e.text for e in sequences[0] if isinstance(e, TextDelta)) == last.turn.text
    started = [e.id for e in sequences[0] if isinstance(e, ToolCallStarted)]
    assert started == [c.id for c in last.turn.tool_calls] == [one.id for one in said.calls]
    done = [(e.id, e.arguments, e.problem) for e in sequences[0] if isinstance(e, ToolCallDone)]
    cut = "the answer was truncated before the arguments were complete"
    whole = [(c.id, c.arguments, c.problem) for c in last.turn.tool_calls if c.problem != cut]
    assert sorted(done) == sorted(whole)


def test_reprs_show_no_contents() -> None:
    said = AnswerParts(
        ("SECRET",),
        ("SECRET",),
        ("SECRET",),
        (Called("f", ('{"SECRET"',)), Called("g", ('{"a":"SECRET"}',), "call_2")),
    )
    events = list(read([*answer_forms.events(said)]))
    assert len(events) == 10
    assert "SECRET" not in repr(events)
    last = events[-1]
    assert isinstance(last, Finished)
    assert (
        repr(last)
        == "Finished(turn=Turn(finish='tool_calls', 6 characters, a refusal, 2 tool calls))"
    )
    assert repr(last.turn.tool_calls) == (
        "(ToolCall(name='f', id='call_1', 9 characters, problem=…), "
        "ToolCall(name='g', id='call_2', 14 characters))"
    )


def test_events_match() -> None:
    seen: list[Any] = []
    for event in read(answer_forms.events(CASES["text_and_calls"][0])):
        match event:
            case TextDelta(text):
                seen.append(text)
            case ToolCallDone(name, arguments, parsed):
                seen.append((name, arguments, parsed))
            case Finished(Turn(finish=finish, tool_calls=calls)):
                seen.append((finish, len(calls)))
    assert seen == [
        "Checking",
        ("get_weather", '{"city":"Oslo"}', None),
        ("get_time", '{"zone":"CET"}', None),
        ("tool_calls", 2),
    ]


def test_usage_has_chats_names_too() -> None:
    assert (
        (USAGE.prompt_tokens, USAGE.completion_tokens)
        == (USAGE.input_tokens, USAGE.output_tokens)
        == (5, 3)
    )
    assert repr(Citation("url_citation", "https://a.example/")) == "Citation(type='url_citation')"


def test_turns_are_frozen_and_slotted() -> None:
    turn = read(answer_forms.response(AnswerParts(("Hi",))))
    things: dict[str, Any] = {
        "text": turn,
        "total_tokens": turn.usage,
        "name": ToolCall("", "f", ""),
    }
    for name, thing in things.items():
        assert not hasattr(thing, "__dict__")
        with pytest.raises(AttributeError):
            setattr(thing, name, "")


def test_a_turn_can_be_made_from_a_few_fields() -> None:
    assert Turn() == Turn(text="", finish="stop", raw=object())
    assert Turn().as_message() == {"role": "assistant", "content": ""}
    called = Turn(tool_calls=(ToolCall("call_1", "f", "{}"),), finish="tool_calls")
    assert called.as_message()["tool_calls"][0]["id"] == "call_1"
    assert [item["type"] for item in called.as_items()] == ["function_call"]
    assert repr(Turn(text="Hello")) == "Turn(finish='stop', 5 characters)"
