"""Tools and formats for `read()`: how calls and text are parsed, and `tools_for`."""

from __future__ import annotations

import dataclasses
import gc
import json
import pickle
import weakref
from collections.abc import Callable
from datetime import date
from enum import StrEnum
from typing import Annotated, Any, Literal

import openai
import pydantic
import pytest
from openai.types.chat import ChatCompletion
from openai.types.responses import Response
from pydantic import BaseModel, Field

import adapter
from adapter import Finished, ToolCall, ToolCallDone, read, tools_for
from adapter.translation import chat_to_responses
from tests.support import answer_forms
from tests.support.answer_forms import AnswerParts, Called
from tests.support.http import helpers_of

Json = dict[str, Any]


class Unit(StrEnum):
    CELSIUS = "celsius"


class GetWeather(BaseModel):
    """Get the weather of a city."""

    city: str
    day: date | None = None


class Order(BaseModel):
    number: int
    lines: list[str]


@dataclasses.dataclass
class Point:
    """A place."""

    x: int
    y: int


def get_time(zone: str, *, precise: bool = False) -> str:
    """Get the time in a zone."""
    raise AssertionError("parsing calls nothing")


async def search(
    query: Annotated[str, Field(min_length=2)], unit: Unit, kind: Literal["a", "b"] = "a"
) -> None:
    raise AssertionError("parsing calls nothing")


class Shop:
    def find(self, order: int) -> int:
        return order


SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}
RAW_CHAT = {
    "type": "function",
    "function": {"name": "raw", "description": "Raw.", "parameters": SCHEMA},
}
RAW_STRICT = {"type": "function", "function": {"name": "raw", "parameters": SCHEMA, "strict": True}}
RAW_FLAT = {"type": "function", "name": "raw", "description": "Raw.", "parameters": SCHEMA}
FLAT_STRICT = {"type": "function", "name": "raw", "parameters": SCHEMA, "strict": True}
GRAMMAR = {"syntax": "lark", "definition": 'start: "a"'}
CUSTOM_CHAT = {
    "type": "custom",
    "custom": {"name": "sql", "format": {"type": "grammar", "grammar": GRAMMAR}},
}
CUSTOM_FLAT = {"type": "custom", "name": "sql", "format": {"type": "grammar", **GRAMMAR}}
CUSTOM_TEXT = {"type": "custom", "custom": {"name": "sql", "format": {"type": "text"}}}
WEATHER = openai.pydantic_function_tool(GetWeather)
NAMESPACE = {"type": "namespace", "name": "shop", "tools": [RAW_FLAT]}
SEARCH = {"type": "web_search"}


def both(called: Called, **more: Any) -> list[ToolCall]:
    """Read a call from either API, streamed or not, assert that they are equal; return it."""
    said = AnswerParts(calls=(called,))
    turns = [read(answer_forms.completion(said), **more), read(answer_forms.response(said), **more)]
    for lines in (answer_forms.chunks(said), answer_forms.events(said)):
        *_, done, last = read(lines, **more)
        assert isinstance(last, Finished)
        turns.append(last.turn)
        (call,) = last.turn.tool_calls
        assert done == ToolCallDone(
            call.name, call.arguments, call.parsed, call.id, 0, call.problem, call.type
        )
    assert turns == [turns[0]] * 4
    return list(turns[0].tool_calls)


PARSED: dict[str, tuple[Any, str, str, Any]] = {
    "model": (
        GetWeather,
        "GetWeather",
        '{"city":"Oslo","day":"2026-01-02"}',
        GetWeather(city="Oslo", day=date(2026, 1, 2)),
    ),
    "helper": (WEATHER, "GetWeather", '{"city":"Oslo"}', GetWeather(city="Oslo")),
    "renamed": (
        openai.pydantic_function_tool(GetWeather, name="w"),
        "w",
        '{"city":"Oslo"}',
        GetWeather(city="Oslo"),
    ),
    "flattened_helper": (
        tools_for("responses", [WEATHER])[0],
        "GetWeather",
        '{"city":"Oslo"}',
        GetWeather(city="Oslo"),
    ),
    "function": (get_time, "get_time", '{"zone":"CET"}', {"zone": "CET", "precise": False}),
    "function_with_all": (
        get_time,
        "get_time",
        '{"zone":"CET","precise":true}',
        {"zone": "CET", "precise": True},
    ),
    "async_function": (
        search,
        "search",
        '{"query":"ab","unit":"celsius"}',
        {"query": "ab", "unit": Unit.CELSIUS, "kind": "a"},
    ),
    "method": (Shop().find, "find", '{"order":1}', {"order": 1}),
    "dataclass": (Point, "Point", '{"x":1,"y":2}', Point(1, 2)),
    "raw_chat": (RAW_CHAT, "raw", '{"city": "Oslo"}', {"city": "Oslo"}),
    "raw_flat": (RAW_FLAT, "raw", '{"city": "Oslo"}', {"city": "Oslo"}),
    "namespace": (NAMESPACE, "raw", "{}", {}),
}  # fmt: skip


@pytest.mark.parametrize("case", PARSED)
def test_parsed(case: str) -> None:
    tool, name, arguments, parsed = PARSED[case]
    (call,) = both(Called(name, (arguments,)), tools=[SEARCH, tool])
    assert call == ToolCall("call_1", name, arguments, parsed)
    assert type(call.parsed) is type(parsed)
    assert call.json() == json.loads(arguments)


PROBLEMS: dict[str, tuple[Any, str, str, str]] = {
    "not_json": (GetWeather, "GetWeather", '{"city":', "Invalid JSON"),
    "empty": (GetWeather, "GetWeather", "", "Invalid JSON"),
    "missing": (GetWeather, "GetWeather", "{}", "Field required"),
    "wrong_type": (GetWeather, "GetWeather", '{"city":1}', "valid string"),
    "array": (GetWeather, "GetWeather", "[]", "Input should be"),
    "function": (get_time, "get_time", '{"zone":"CET","more":1}', "Unexpected keyword argument"),
    "function_constraint": (
        search,
        "search",
        '{"query":"a","unit":"celsius"}',
        "at least 2 characters",
    ),
    "raw_array": (RAW_CHAT, "raw", "[]", "expected an object, got an array"),
    "raw_not_json": (RAW_CHAT, "raw", "{", "Expecting property name"),
    "unknown_tool": (GetWeather, "GetWether", "{}", "there is no tool with the name 'GetWether'"),
}


@pytest.mark.parametrize("case", PROBLEMS)
def test_a_problem_keeps_the_arguments(case: str) -> None:
    tool, name, arguments, problem = PROBLEMS[case]
    (call,) = both(Called(name, (arguments,) if arguments else ()), tools=[tool])
    assert (call.name, call.arguments, call.parsed) == (name, arguments, None)
    assert call.problem is not None
    assert problem in call.problem


def test_without_tools_only_json_is_checked() -> None:
    assert both(Called("f", ('{"a":1}',)))[0].problem is None
    (call,) = both(Called("f", ('{"a"',)))
    assert call.problem is not None
    with pytest.raises(ValueError, match="Expecting"):
        call.json()


@pytest.mark.parametrize("tool", [CUSTOM_CHAT, CUSTOM_FLAT, CUSTOM_TEXT])
def test_custom_tools_have_their_input(tool: Json) -> None:
    (call,) = both(Called("sql", ("a",), custom=True), tools=[tool])
    assert call == ToolCall("call_1", "sql", "a", type="custom")


def test_validators_may_raise_anything() -> None:
    class Picky(BaseModel):
        a: int

        @pydantic.field_validator("a")
        @classmethod
        def _check(cls, value: int) -> int:
            raise KeyError("a")

    (call,) = both(Called("Picky", ('{"a":1}',)), tools=[Picky])
    assert call.problem == "'a'"


@pytest.mark.parametrize("tools", ["f", {"type": "function"}, 7])
def test_tools_that_are_not_a_list(tools: Any) -> None:
    with pytest.raises(adapter.ConfigurationError, match=r"^tools: expected a list"):
        read(answer_forms.response(AnswerParts()), tools=tools)


def positional(a: int, /) -> None: ...
def several(*a: int) -> None: ...
def open_ended(**a: int) -> None: ...
def unknown(a: Callable[[], None]) -> None: ...


@pytest.mark.parametrize(
    "tool",
    [
        None,
        7,
        "f",
        lambda a: a,
        {"type": "function"},
        {"type": "custom", "name": 1},
        positional,
        several,
        open_ended,
        unknown,
    ],
)
def test_invalid_tools_raise(tool: Any) -> None:
    with pytest.raises(adapter.ConfigurationError, match=r"^tools\[1\]"):
        read(answer_forms.response(AnswerParts()), tools=[RAW_CHAT, tool])
    with pytest.raises(adapter.ConfigurationError, match=r"^tools\[1\]"):
        tools_for("chat", [RAW_CHAT, tool])


# The SDK's own parsing


def reply(body: Json) -> Any:
    return answer_forms.client(answer_forms.Upstream(json.dumps(body).encode()))


SDK_TOOLS: dict[str, tuple[list[Any], Called]] = {
    "pydantic": ([WEATHER], Called("GetWeather", ('{"city":"Oslo","day":null}',))),
    "raw_strict": ([RAW_STRICT], Called("raw", ('{"city":"Oslo"}',))),
    "another_tool": ([WEATHER, RAW_STRICT], Called("raw", ('{"city":"Oslo"}',))),
    "order": (
        [openai.pydantic_function_tool(Order)],
        Called("Order", ('{"number":1,"lines":["a","b"]}',)),
    ),
}


@pytest.mark.parametrize("case", SDK_TOOLS)
def test_calls_are_parsed_as_the_sdk_parses_them(case: str) -> None:
    tools, called = SDK_TOOLS[case]
    said = AnswerParts(calls=(called,))
    chat = helpers_of(reply(answer_forms.completion(said))).parse(
        model="m", messages=[], tools=tools_for("chat", tools)
    )
    sdk = chat.choices[0].message.tool_calls[0].function.parsed_arguments
    other = reply(answer_forms.response(said)).responses.parse(
        model="m", input="…", tools=tools_for("responses", tools)
    )
    assert sdk == other.output[0].parsed_arguments
    assert sdk is not None
    assert both(called, tools=tools)[0].parsed == sdk
    # Without tools, what the SDK has parsed is used.
    for result in (chat, other):
        (call,) = read(result).tool_calls
        assert (call.parsed, call.problem) == (sdk, None)


ORDER = '{"number":1,"lines":["a"]}'


def test_text_is_parsed_as_the_sdk_parses_it() -> None:
    said = AnswerParts((ORDER,))
    chat = helpers_of(reply(answer_forms.completion(said))).parse(
        model="m", messages=[], response_format=Order
    )
    other = reply(answer_forms.response(said)).responses.parse(
        model="m", input="…", text_format=Order
    )
    sdk = chat.choices[0].message.parsed
    assert sdk == other.output_parsed == Order(number=1, lines=["a"])
    for result in (chat, other):
        assert read(result).parsed is sdk or read(result).parsed == sdk
        assert read(result, output=Order).parsed == sdk
    for x in (answer_forms.completion(said), answer_forms.response(said)):
        assert read(x, output=Order).parsed == sdk
    for lines in (answer_forms.chunks(said), answer_forms.events(said)):
        *_, last = read(lines, output=Order)
        assert isinstance(last, Finished)
        assert last.turn.parsed == sdk


OUTPUTS: dict[str, tuple[AnswerParts, Any, Any, str | None]] = {
    "list": (AnswerParts(("[1,2]",)), list[int], [1, 2], None),
    "dataclass": (AnswerParts(('{"x":1,"y":2}',)), Point, Point(1, 2), None),
    "does_not_fit": (AnswerParts(('{"number":1}',)), Order, None, "Field required"),
    "no_json": (AnswerParts(("Hello",)), Order, None, "Invalid JSON"),
    "empty": (AnswerParts(), Order, None, "the answer is empty"),
    "refused": (AnswerParts(refusal=("No.",)), Order, None, None),
    "cut": (AnswerParts(('{"number":',), finish="length"), Order, None, None),
    "preamble": (AnswerParts(("Checking",), calls=(Called("f", ("{}",)),)), Order, None, None),
    "calls_alone": (AnswerParts(calls=(Called("f", ("{}",)),)), Order, None, None),
    "beside_calls": (
        AnswerParts((ORDER,), calls=(Called("f", ("{}",)),)),
        Order,
        Order(number=1, lines=["a"]),
        None,
    ),
}


@pytest.mark.parametrize("case", OUTPUTS)
def test_output(case: str) -> None:
    said, kind, parsed, problem = OUTPUTS[case]
    for x in (answer_forms.completion(said), answer_forms.response(said)):
        turn = read(x, output=kind)
        assert turn.parsed == parsed
        assert (turn.problem or "").find(problem or "") >= 0
        assert (turn.problem is None) == (problem is None)
        assert turn.text == "".join(said.text)


def test_two_json_documents_are_a_problem() -> None:
    # gpt-4o sometimes sends its JSON twice; `output` says that the text is JSON.
    body = answer_forms.response(AnswerParts((ORDER,)))
    body["output"].append(
        {**body["output"][0], "content": [{"type": "output_text", "text": ORDER + " "}]}
    )
    assert read(body, output=Order).parsed == Order(number=1, lines=["a"])


# The SDK's `.stream()` helpers


def helper(api: str, said: AnswerParts, *, asynchronous: bool = False, **more: Any) -> Any:
    lines = answer_forms.chunks(said) if api == "chat" else answer_forms.events(said)
    made = answer_forms.client(
        answer_forms.Upstream(answer_forms.sse(lines, done=api == "chat")),
        openai.AsyncOpenAI if asynchronous else openai.OpenAI,
    )
    if api == "chat":
        return helpers_of(made).stream(model="m", messages=[], **more)
    return made.responses.stream(model="m", input="…", **more)


HELPED = AnswerParts(
    (ORDER[:5], ORDER[5:]),
    calls=(
        Called("GetWeather", ('{"city":', '"Oslo"}')),
        Called("raw", ('{"city":"Rome"}',), "call_2"),
    ),
)


def given(api: str) -> Json:
    form = {"response_format": Order} if api == "chat" else {"text_format": Order}
    return {"tools": tools_for(api, [WEATHER, RAW_STRICT]), **form}  # type: ignore[arg-type]


@pytest.mark.parametrize("api", ["chat", "responses"])
async def test_helper_streams(api: str) -> None:
    wanted = list(read(answer_forms.chunks(HELPED), tools=[WEATHER, RAW_STRICT], output=Order))
    with helper(api, HELPED, **given(api)) as stream:
        assert list(read(stream)) == wanted
    with helper(api, HELPED, **given(api)) as stream:
        assert list(read(stream, tools=[GetWeather, RAW_FLAT], output=Order)) == wanted
    async with helper(api, HELPED, asynchronous=True, **given(api)) as stream:
        assert [event async for event in read(stream)] == wanted
    with helper(api, HELPED) as stream:
        assert list(read(stream)) == list(read(answer_forms.chunks(HELPED)))


def test_a_helper_has_to_be_entered() -> None:
    with pytest.raises(TypeError, match="enter it first"):
        read(helper("chat", HELPED))


def test_parsed_results_pickle() -> None:
    chat = helpers_of(reply(answer_forms.completion(AnswerParts((ORDER,))))).parse(
        model="m", messages=[], response_format=Order
    )
    turn = read(chat)
    assert pickle.loads(pickle.dumps(turn)) == turn


# The request side


REQUESTS: dict[str, tuple[Any, Json, Json]] = {
    "raw_chat": (RAW_CHAT, RAW_CHAT, {**RAW_FLAT, "strict": False}),
    "raw_strict": (RAW_STRICT, RAW_STRICT, FLAT_STRICT),
    "raw_flat": (RAW_FLAT, RAW_CHAT, {**RAW_FLAT, "strict": False}),
    "flat_strict": (FLAT_STRICT, RAW_STRICT, FLAT_STRICT),
    "custom_chat": (CUSTOM_CHAT, CUSTOM_CHAT, CUSTOM_FLAT),
    "custom_flat": (CUSTOM_FLAT, CUSTOM_CHAT, CUSTOM_FLAT),
    "custom_text": (
        CUSTOM_TEXT,
        CUSTOM_TEXT,
        {"type": "custom", "name": "sql", "format": {"type": "text"}},
    ),
    "unknown_keys": (
        {
            "type": "function",
            "function": {**RAW_STRICT["function"], "more": 1, "description": None},
        },  # type: ignore[dict-item]
        {
            "type": "function",
            "function": {**RAW_STRICT["function"], "more": 1, "description": None},
        },  # type: ignore[dict-item]
        FLAT_STRICT,
    ),
    "strict_without_parameters": (
        {"type": "function", "function": {"name": "f", "strict": True}},
        {"type": "function", "function": {"name": "f", "strict": True}},
        {
            "type": "function",
            "name": "f",
            "parameters": {
                "type": "object",
                "properties": {},
                "required": [],
                "additionalProperties": False,
            },
            "strict": True,
        },
    ),
    "no_parameters": (
        {"type": "function", "function": {"name": "f"}},
        {"type": "function", "function": {"name": "f"}},
        {
            "type": "function",
            "name": "f",
            "parameters": {"type": "object", "properties": {}},
            "strict": False,
        },
    ),
    "model": (GetWeather, WEATHER, {"type": "function"} | dict[str, Any](WEATHER["function"])),
}


@pytest.mark.parametrize("case", REQUESTS)
def test_tools_for(case: str) -> None:
    tool, chat, responses = REQUESTS[case]
    before = json.dumps(tool, default=str)
    assert tools_for("chat", [tool]) == [chat]
    assert tools_for("responses", [tool]) == [responses]
    # Both directions.
    assert tools_for("responses", tools_for("chat", [tool])) == [responses]
    assert tools_for("responses", tools_for("responses", [tool])) == [responses]
    assert json.dumps(tool, default=str) == before


@pytest.mark.parametrize("case", [case for case in REQUESTS if case != "raw_flat"])
def test_the_same_as_the_translation_makes(case: str) -> None:
    chat = tools_for("chat", [REQUESTS[case][0]])
    body = {"model": "m", "messages": [{"role": "user", "content": "x"}], "tools": chat}
    translated = adapter.translate.chat_to_responses(body).body
    assert translated is not None
    assert translated["tools"] == tools_for("responses", chat)


def test_tools_for_callables() -> None:
    (chat,) = tools_for("chat", [get_time])
    assert chat == {
        "type": "function",
        "function": {
            "name": "get_time",
            "description": "Get the time in a zone.",
            "parameters": {
                "type": "object",
                "properties": {
                    "zone": {"title": "Zone", "type": "string"},
                    "precise": {"title": "Precise", "type": "boolean", "default": False},
                },
                "required": ["zone"],
                "additionalProperties": False,
            },
            "strict": False,
        },
    }  # fmt: skip
    (flat,) = tools_for("responses", [get_time])
    assert flat == {"type": "function", **chat["function"]}
    (point,) = tools_for("chat", [Point])
    assert point["function"]["description"] == "A place."


def test_definitions_may_be_changed() -> None:
    for api in ("chat", "responses"):
        (first,) = tools_for(api, [get_time])  # type: ignore[arg-type]
        first.get("function", first)["parameters"]["properties"].clear()
        (again,) = tools_for(api, [get_time])  # type: ignore[arg-type]
        assert again.get("function", again)["parameters"]["properties"]


def test_a_tool_made_for_one_call_is_not_kept() -> None:
    class Session:
        def find(self, order: int) -> int:
            return order

    session = Session()
    reference = weakref.ref(session)
    tools_for("chat", [session.find, lambda_of(session)])
    del session
    gc.collect()
    assert reference() is None


def lambda_of(session: Any) -> Callable[[int], Any]:
    def look(order: int) -> Any:
        return session.find(order)

    return look


def test_the_sdks_parsed_calls_with_the_same_id() -> None:
    said = AnswerParts(
        calls=(
            Called("GetWeather", ('{"city":"Oslo"}',)),
            Called("GetWeather", ('{"city":"Rome"}',), "call_2"),
        )
    )
    for write in (answer_forms.completion, answer_forms.response):
        body = json.loads(json.dumps(write(said)).replace("call_2", "call_1"))
        client = reply(body)
        result: Any
        if write is answer_forms.completion:
            result = helpers_of(client).parse(model="m", messages=[], tools=[WEATHER])
        else:
            result = client.responses.parse(
                model="m", input="…", tools=tools_for("responses", [WEATHER])
            )
        assert [call.parsed.city for call in read(result).tool_calls] == ["Oslo", "Rome"]


def test_hosted_tools_raise_for_chat() -> None:
    assert tools_for("responses", [SEARCH, NAMESPACE]) == [SEARCH, NAMESPACE]
    with pytest.raises(adapter.Unsupported, match=r"^tools\[0\]"):
        tools_for("chat", [SEARCH])
    with pytest.raises(adapter.ConfigurationError, match=r"^api"):
        tools_for("completions", [])  # type: ignore[arg-type]


def test_sdk_objects_of_both_apis_are_results() -> None:
    said = AnswerParts((ORDER,))
    for x in (
        ChatCompletion.construct(**answer_forms.completion(said)),
        Response.construct(**answer_forms.response(said)),
    ):
        assert read(x, output=Order).parsed == Order(number=1, lines=["a"])


def test_newer_fields_of_a_function_are_kept_as_in_a_translated_call() -> None:
    function = {"name": "note", "defer_loading": True, "output_schema": {"type": "string"}}
    given, user = [{"type": "function", "function": function}], {"role": "user", "content": "x"}
    made = chat_to_responses({"model": "gpt-4o", "messages": [user], "tools": given})
    assert made.body is not None
    assert tools_for("responses", given) == made.body["tools"]
