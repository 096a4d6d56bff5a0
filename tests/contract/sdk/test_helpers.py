"""`.stream()`, `.parse()` and the raw wrappers: translated answers give what Chat's own give."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import openai
import pytest
from openai.types.chat import ChatCompletion, ChatCompletionChunk, ParsedChatCompletion
from pydantic import BaseModel

import adapter
from tests.support.answers import Sdk, sdk
from tests.support.comparing import flatten
from tests.support.http import SDK, helpers_of
from tests.support.http import http as HTTP  # noqa: N812 - a module, chosen at run time
from tests.support.render import Answer, Call, chat_json, chat_sse, responses_json, responses_sse

__all__ = ["sdk"]

USER = [{"role": "user", "content": "Invent a person."}]
BASE_URL = "http://rendered.invalid/v1"


class Person(BaseModel):
    name: str
    age: int


class GetWeather(BaseModel):
    """Say how the weather is."""

    city: str
    days: int = 1


PERSON = ('{"name":', '"Ada ', 'Lové","age"', ":36}")
PARIS = Call("call_1", "GetWeather", ('{"ci', 'ty":"Paris",', '"days":2}'))
LIMA = Call("call_2", "GetWeather", ('{"city":"Lima","days":1}',))
LOOSE = Call("call_3", "look_up", ('{"q": ', '"x"}'))
NO_ARGUMENTS = Call("call_4", "ping", ("{}",))
GRAMMAR = Call("call_5", "shell", ("ls ", "-l"), kind="custom")
TOOL = openai.pydantic_function_tool(GetWeather)
PLAIN_TOOLS = [
    {
        "type": "function",
        "function": {"name": name, "parameters": {"type": "object", "properties": {}}},
    }
    for name in ("look_up", "ping")
]
CUSTOM_TOOL = {"type": "custom", "custom": {"name": "shell"}}
USAGE = {"stream_options": {"include_usage": True}}


@dataclass(frozen=True)
class Case:
    """An answer and what the call asks for; `strict`: whether `.parse()` takes the tools."""

    answer: Answer
    asks: Mapping[str, Any] = field(default_factory=dict)
    usage: bool = False


FORMAT = {"response_format": Person}
TOOLS = {"tools": [TOOL]}
CASES: dict[str, Case] = {
    "text": Case(Answer(text=("Hello", ", ", "wörld", " 👋!"))),
    "one piece": Case(Answer(text=("Hello",))),
    "no text": Case(Answer()),
    "newer model": Case(
        Answer(text=("Forty", "-two"), model="gpt-5.2", thinks=True), {"reasoning_effort": "low"}
    ),
    "newer model, call": Case(
        Answer(calls=(PARIS,), model="gpt-5.2", thinks=True), {"tools": PLAIN_TOOLS}
    ),
    "usage": Case(Answer(text=("Hello", "!")), usage=True),
    "refusal": Case(Answer(refusal=("I'm ", "sorry."))),
    "refusal of a format": Case(Answer(refusal=("I'm ", "sorry.")), FORMAT, usage=True),
    "format": Case(Answer(text=PERSON), FORMAT),
    "format, usage": Case(Answer(text=PERSON), FORMAT, usage=True),
    "format, newer model": Case(Answer(text=PERSON, model="gpt-5.2", thinks=True), FORMAT),
    "format that doesn't fit": Case(Answer(text=('{"name":', "1}")), FORMAT),
    "format that is no JSON": Case(Answer(text=("Sure", "!")), FORMAT),
    "one call": Case(Answer(calls=(LOOSE,)), {"tools": PLAIN_TOOLS}),
    "call without arguments": Case(Answer(calls=(NO_ARGUMENTS,)), {"tools": PLAIN_TOOLS}),
    "parsed call": Case(Answer(calls=(PARIS,)), TOOLS),
    "two parsed calls": Case(Answer(calls=(PARIS, LIMA)), TOOLS, usage=True),
    "text and call": Case(Answer(text=("Let me ", "see."), calls=(PARIS,)), TOOLS, usage=True),
    "text and two calls": Case(Answer(text=("Let me ", "see."), calls=(PARIS, LIMA)), TOOLS),
    "format and tools, call": Case(Answer(calls=(PARIS,)), {**FORMAT, **TOOLS}),
    "format and tools, text": Case(Answer(text=PERSON), {**FORMAT, **TOOLS}),
    "arguments that don't fit": Case(
        Answer(calls=(Call("call_6", "GetWeather", ('{"days":', "2}")),)), TOOLS
    ),
    "logprobs": Case(
        Answer(text=("Hel", "lö"), logprobs=True),
        {"logprobs": True, "top_logprobs": 2},
        usage=True,
    ),
    "logprobs of a format": Case(
        Answer(text=PERSON, logprobs=True), {"logprobs": True, "top_logprobs": 2, **FORMAT}
    ),
    "citation": Case(Answer(text=("See", " here."), citation=("https://example.com/a", "A", 4, 8))),
    "length": Case(Answer(text=("Once ", "upon"), cut="length"), {"max_tokens": 16}),
    "length of a format": Case(Answer(text=PERSON[:2], cut="length"), {"max_tokens": 16, **FORMAT}),
    "length of a format, usage": Case(
        Answer(text=PERSON[:2], cut="length"), {"max_tokens": 16, **FORMAT}, usage=True
    ),
    "length before any text": Case(
        Answer(cut="length", model="gpt-5.2", thinks=True), {"max_tokens": 16}
    ),
    "length in a call": Case(
        Answer(calls=(Call("call_7", "GetWeather", ('{"ci',)),), cut="length"),
        {"max_tokens": 16, **TOOLS},
    ),
    "content filter": Case(Answer(text=("Once ",), cut="content_filter")),
    "content filter of a format": Case(Answer(text=PERSON[:1], cut="content_filter"), FORMAT),
    "content filter of a call": Case(
        Answer(calls=(Call("call_8", "GetWeather", ('{"ci',)),), cut="content_filter"), TOOLS
    ),
    "custom call": Case(Answer(calls=(GRAMMAR,)), {"tools": [CUSTOM_TOOL]}),
    "custom call and text": Case(
        Answer(text=("So: ",), calls=(GRAMMAR,)), {"tools": [CUSTOM_TOOL]}, usage=True
    ),
}
HELPED = {name: case for name, case in CASES.items() if not name.startswith("custom")}
PARSED = {name: case for name, case in HELPED.items() if case.asks.get("tools") is not PLAIN_TOOLS}


def each(cases: Mapping[str, Case]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize(
        "case", [pytest.param(case, id=name) for name, case in cases.items()]
    )


@dataclass
class Sides:
    """The SDK's own client and an adapted one, on one server that answers in both formats."""

    native: Any
    adapted: Any
    paths: list[str]


def sides(sdk: Sdk, case: Case, **more: Any) -> Sides:
    """Make both clients."""
    paths: list[str] = []

    def answer(request: Any) -> Any:
        paths.append(request.url.path)
        body = json.loads(request.content)
        chat, streamed = request.url.path.endswith("/chat/completions"), body.get("stream") is True
        if streamed:
            usage = bool((body.get("stream_options") or {}).get("include_usage"))
            content = chat_sse(case.answer, usage=usage) if chat else responses_sse(case.answer)
        else:
            content = chat_json(case.answer) if chat else responses_json(case.answer)
        kind = "text/event-stream; charset=utf-8" if streamed else "application/json"
        return HTTP.Response(
            200, content=content, headers={"content-type": kind, "x-request-id": "req_1"}
        )

    library = sdk.pick(HTTP.Client, HTTP.AsyncClient)

    def client(**which: Any) -> Any:
        return sdk.client(
            BASE_URL, http_client=library(transport=HTTP.MockTransport(answer)), **which, **more
        )

    settings = adapter.Settings(backend="responses", unsupported="error", on_bug="raise")
    return Sides(client(plain=True), client(settings=settings), paths)


def body(case: Case, *, streamed: bool) -> dict[str, Any]:
    usage = USAGE if case.usage and streamed else {}
    return {"model": case.answer.model, "messages": USER, **case.asks, **usage}


# Ids differ: the adapter's contains the Response's.
def plain(value: Any) -> Any:
    """Return the JSON of a result, without its id."""
    tree = value.model_dump(warnings=False) if isinstance(value, BaseModel) else value
    if not isinstance(tree, dict):
        return tree
    flat = dict(flatten(tree))
    for path, found in flat.items():
        if path.rpartition(".")[2] == "id" and str(found).startswith("chatcmpl-"):
            flat[path] = "chatcmpl-"
    return flat


def on_wire(chunk: BaseModel) -> Any:
    """Return a chunk with just the keys that were sent."""
    return {**chunk.model_dump(exclude_unset=True, warnings=False), "id": "chatcmpl-"}


def error_fields(error: Exception) -> Any:
    """Return what a handler can read from an exception."""
    completion = getattr(error, "completion", None)
    text = str(error).partition("completion=")[0]
    return type(error), text, None if completion is None else plain(completion)


def outcome(do: Callable[[], Any], see: Callable[[Any], Any] = plain) -> Any:
    """Return a call's result, or the fields of its exception."""
    try:
        return see(do())
    except (
        openai.OpenAIError,
        ValueError,
    ) as error:  # pydantic's and the JSON parser's are ValueErrors
        return error_fields(error)


def drained(stream: Any, see: Callable[[Any], Any], into: list[Any]) -> Awaitable[None] | None:
    """Read a stream, recording each event as it comes: snapshots change later."""
    if hasattr(stream, "__aiter__"):

        async def read() -> None:
            async for thing in stream:
                into.append(see(thing))  # noqa: PERF401 - events before an error are kept

        return read()
    for thing in stream:
        into.append(see(thing))  # noqa: PERF401 - the same
    return None


def event_seen(event: Any) -> Any:
    """Return an event's class, type and fields."""
    chunk = on_wire(event.chunk) if event.type == "chunk" else None
    return type(event).__name__, event.type, plain(event), chunk


def helper_events(sdk: Sdk, completions: Any, case: Case) -> tuple[list[Any], Any]:
    """Return the events of `.stream()`, and the exception that ended it."""
    events: list[Any] = []

    def read() -> Any:
        manager = completions.stream(**body(case, streamed=True))
        return sdk.inside(manager, lambda stream: drained(stream, event_seen, events))

    return events, outcome(read)


def without_opening(events: list[Any]) -> list[Any]:
    """Leave out what only the first chunk of several calls has.

    Chat opens several calls with a chunk that holds only the role. A Responses stream doesn't show
    at this point that a second call follows, so the adapter's first chunk names the first call.
    """
    first = next(n for n, (_, kind, *_) in enumerate(events) if kind.startswith("tool_calls"))
    return [(name, kind, fields) for name, kind, fields, _ in events[first:]]


def wants_strict_tools(end: Any) -> bool:
    """Return whether the SDK refused the call: async helpers before 3.0 refuse lax tools."""
    return SDK < (3, 0) and isinstance(end, tuple) and "is not strict" in str(end)


def opens_late(case: Case) -> bool:
    return len(case.answer.calls) > 1 and not case.answer.text


@each(HELPED)
def test_stream_gives_the_same_events(case: Case, sdk: Sdk) -> None:
    both = sides(sdk, case)
    (native, native_end), (adapted, adapted_end) = (
        helper_events(sdk, helpers_of(client), case) for client in (both.native, both.adapted)
    )
    if wants_strict_tools(native_end):
        assert native_end == adapted_end
        return
    assert both.paths == ["/v1/chat/completions", "/v1/responses"]
    assert native, "the native stream gave nothing"
    if opens_late(case):
        native, adapted = without_opening(native), without_opening(adapted)
    for number, (one, other) in enumerate(zip(native, adapted, strict=False)):
        assert one == other, f"event {number}"
    assert len(native) == len(adapted)
    assert native_end == adapted_end


KINDS = {
    "text": {"chunk", "content.delta", "content.done"},
    "refusal": {"chunk", "refusal.delta", "refusal.done"},
    "logprobs": {
        "chunk",
        "content.delta",
        "content.done",
        "logprobs.content.delta",
        "logprobs.content.done",
    },
    "parsed call": {
        "chunk",
        "tool_calls.function.arguments.delta",
        "tool_calls.function.arguments.done",
    },
}


@pytest.mark.parametrize("name", KINDS)
def test_the_answers_reach_each_kind_of_event(name: str, sdk: Sdk) -> None:
    both = sides(sdk, CASES[name])
    events, _ = helper_events(sdk, helpers_of(both.adapted), CASES[name])
    assert {kind for _, kind, *_ in events} >= KINDS[name]


@each(HELPED)
@pytest.mark.parametrize("way", ["get_final_completion", "until_done"])
def test_the_final_object_is_the_same(case: Case, way: str, sdk: Sdk) -> None:
    def final(stream: Any) -> Any:
        if way == "get_final_completion":
            return stream.get_final_completion()
        done = stream.until_done()
        return sdk.pick(lambda: done.current_completion_snapshot, lambda: after(done))()

    async def after(done: Any) -> Any:
        return (await done).current_completion_snapshot

    both, found = sides(sdk, case), []
    for client in (both.native, both.adapted):

        def call(client: Any = client) -> Any:
            return sdk.inside(helpers_of(client).stream(**body(case, streamed=True)), final)

        found.append(outcome(call, lambda value: (type(value), plain(value), value)))
    assert found[0][:2] == found[1][:2]
    if wants_strict_tools(found[0]):
        return
    assert both.paths == ["/v1/chat/completions", "/v1/responses"]
    if isinstance(found[0][2], ParsedChatCompletion):
        one, other = (each[2].choices[0].message for each in found)
        assert (one.parsed, type(one.parsed)) == (other.parsed, type(other.parsed))


def completions_of(client: Any, method: str) -> list[Any]:
    """List the resources that have a method: in some SDKs `beta` too, in old ones `beta` alone."""
    known = [client.chat.completions]
    with suppress(AttributeError):
        known.append(client.beta.chat.completions)
    return [one for one in known if hasattr(one, method)]


@each(PARSED)
@pytest.mark.parametrize("way", ["parse", "raw"])
def test_parse_gives_the_same_objects(case: Case, way: str, sdk: Sdk) -> None:
    def parse(completions: Any) -> Any:
        if way == "parse":
            return sdk.run(completions.parse(**body(case, streamed=False)))
        return sdk.run(
            sdk.run(completions.with_raw_response.parse(**body(case, streamed=False))).parse()
        )

    both = sides(sdk, case)
    native, adapted = (
        [
            outcome(partial(parse, completions), lambda value: value)
            for completions in completions_of(client, "parse")
        ]
        for client in (both.native, both.adapted)
    )
    assert set(both.paths) == {"/v1/chat/completions", "/v1/responses"}
    for one, other in zip(native, adapted, strict=True):
        assert type(one) is type(other)
        if isinstance(one, tuple):
            assert one == other
            continue
        assert plain(one) == plain(other)
        messages = [each.choices[0].message for each in (one, other)]
        assert messages[0].parsed == messages[1].parsed
        assert type(messages[0].parsed) is type(messages[1].parsed)
        calls = [
            [call.function.parsed_arguments for call in each.tool_calls or ()] for each in messages
        ]
        assert calls[0] == calls[1]
        assert list(map(type, calls[0])) == list(map(type, calls[1]))


def test_what_is_parsed_is_what_was_asked_for(sdk: Sdk) -> None:
    case = CASES["format and tools, text"]
    message = (
        sdk.run(helpers_of(sides(sdk, case).adapted).parse(**body(case, streamed=False)))
        .choices[0]
        .message
    )
    assert message.parsed == Person(name="Ada Lové", age=36)
    case = CASES["two parsed calls"]
    message = (
        sdk.run(helpers_of(sides(sdk, case).adapted).parse(**body(case, streamed=False)))
        .choices[0]
        .message
    )
    parsed = [call.function.parsed_arguments for call in message.tool_calls]
    assert parsed == [GetWeather(city="Paris", days=2), GetWeather(city="Lima", days=1)]


ENDS: dict[str, Any] = {
    "length of a format": openai.LengthFinishReasonError,
    "length in a call": openai.LengthFinishReasonError,
    "content filter of a format": openai.ContentFilterFinishReasonError,
    "content filter of a call": openai.ContentFilterFinishReasonError,
}


@pytest.mark.parametrize("name", ENDS)
@pytest.mark.parametrize("way", ["parse", "stream", "final"])
def test_a_cut_answer_raises(name: str, way: str, sdk: Sdk) -> None:
    completions = helpers_of(sides(sdk, CASES[name]).adapted)

    def call() -> Any:
        if way == "parse":
            return sdk.run(completions.parse(**body(CASES[name], streamed=False)))
        manager = completions.stream(**body(CASES[name], streamed=True))
        if way == "final":
            return sdk.inside(manager, lambda stream: stream.get_final_completion())
        return sdk.inside(manager, lambda stream: drained(stream, event_seen, []))

    with pytest.raises(ENDS[name]):
        call()


def test_a_refusal_leaves_nothing_parsed(sdk: Sdk) -> None:
    case = CASES["refusal of a format"]
    completions = helpers_of(sides(sdk, case).adapted)
    parsed = sdk.run(completions.parse(**body(case, streamed=False)))
    streamed = sdk.inside(
        completions.stream(**body(case, streamed=True)),
        lambda stream: stream.get_final_completion(),
    )
    for completion in (parsed, streamed):
        message = completion.choices[0].message
        assert (message.parsed, message.refusal, message.content) == (None, "I'm sorry.", None)


def plain_asks(case: Case) -> Case:
    """Return a case without a response class, which `create` refuses."""
    asks = {key: value for key, value in case.asks.items() if key != "response_format"}
    return Case(case.answer, asks, case.usage)


@each(CASES)
def test_create_gives_the_same(case: Case, sdk: Sdk) -> None:
    case = plain_asks(case)
    both = sides(sdk, case)
    found: list[list[Any]] = []
    for client in (both.native, both.adapted):
        got: list[Any] = []
        for completions in completions_of(client, "create"):
            completion = sdk.run(completions.create(**body(case, streamed=False)))
            raw = sdk.run(completions.with_raw_response.create(**body(case, streamed=False)))
            assert raw.request_id == "req_1"
            for result in (completion, sdk.run(raw.parse())):
                assert type(result) is ChatCompletion
                assert result._request_id == "req_1"
                got += [plain(result), {**result.model_dump(exclude_unset=True), "id": None}]
            got.append({**json.loads(raw.content), "id": None})
        found.append(got)
    for one, other in zip(*found, strict=True):
        assert one == other


@each(CASES)
def test_a_plain_stream_gives_the_same_chunks(case: Case, sdk: Sdk) -> None:
    case = plain_asks(case)
    both = sides(sdk, case)
    native, adapted = (
        sdk.list(sdk.run(client.chat.completions.create(stream=True, **body(case, streamed=True))))
        for client in (both.native, both.adapted)
    )
    assert {type(chunk) for chunk in adapted} == {ChatCompletionChunk}
    shapes = [[on_wire(chunk) for chunk in chunks] for chunks in (native, adapted)]
    if opens_late(case):
        assert shapes[0].pop(0)["choices"][0]["delta"] == {"role": "assistant", "content": None}
        opening = shapes[1][0]["choices"][0]["delta"]
        assert [opening.pop(key) for key in ("role", "content", "refusal")] == [
            "assistant",
            None,
            None,
        ]
    assert shapes[0] == shapes[1]


def data_of(lines: list[str]) -> list[Any]:
    found = [line.removeprefix("data: ") for line in lines if line.startswith("data: ")]
    return [each if each == "[DONE]" else {**json.loads(each), "id": None} for each in found]


@pytest.mark.parametrize("name", ["text", "parsed call", "usage", "logprobs", "length"])
def test_streaming_responses_read_the_same(name: str, sdk: Sdk) -> None:
    case = plain_asks(CASES[name])
    both = sides(sdk, case)
    found: list[list[Any]] = []
    for client in (both.native, both.adapted):
        wrapped, lines, chunks = (
            client.chat.completions.with_streaming_response,
            list[str](),
            list[Any](),
        )
        request = body(case, streamed=True)
        sdk.inside(
            wrapped.create(stream=True, **request),
            lambda raw, into=lines: drained(raw.iter_lines(), str, into),
        )
        whole = sdk.inside(wrapped.create(**body(case, streamed=False)), lambda raw: raw.json())
        parsed = sdk.inside(wrapped.create(**body(case, streamed=False)), lambda raw: raw.parse())
        sdk.inside(wrapped.create(stream=True, **request), partial(read_parsed, sdk, into=chunks))
        found.append([data_of(lines), {**whole, "id": None}, plain(parsed), chunks])
        assert data_of(lines)[-1] == "[DONE]"
    for one, other in zip(*found, strict=True):
        assert one == other


def read_parsed(sdk: Sdk, raw: Any, into: list[Any]) -> Any:
    if sdk.mode == "sync":
        return drained(raw.parse(), on_wire, into)

    async def read() -> None:
        into.extend([on_wire(chunk) async for chunk in await raw.parse()])

    return read()


@each(CASES)
def test_strict_validation_takes_every_reply(case: Case, sdk: Sdk) -> None:
    plainly = plain_asks(case)
    both = sides(sdk, plainly, _strict_response_validation=True)

    def whole(client: Any) -> Any:
        return sdk.run(client.chat.completions.create(**body(plainly, streamed=False)))

    try:
        whole(both.native)
    except openai.APIResponseValidationError:  # types from before custom calls
        with pytest.raises(openai.APIResponseValidationError):
            whole(both.adapted)
    else:
        assert isinstance(whole(both.adapted), ChatCompletion)

    def chunks(client: Any) -> Any:
        request = body(plainly, streamed=True)
        return sdk.list(sdk.run(client.chat.completions.create(stream=True, **request)))

    if any(call.kind == "custom" for call in case.answer.calls):
        # The SDK's chunk type has no custom calls: strict validation refuses Chat's stream as well.
        for client in (both.native, both.adapted):
            with pytest.raises(openai.APIResponseValidationError):
                chunks(client)
        return
    last = chunks(both.adapted)[-1]
    assert last.usage is not None if case.usage else last.choices[0].finish_reason
