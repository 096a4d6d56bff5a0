"""`read()` on failures, broken streams, and values of any type at any path."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import openai
import pytest

import adapter
from adapter import read
from tests.support import answer_forms
from tests.support.answer_forms import AnswerParts, Called
from tests.support.http import http
from tests.support.reading_items import TEXT, Json, chunk, response

QUOTA = {
    "type": "insufficient_quota",
    "code": "insufficient_quota",
    "message": "You exceeded your quota.",
    "param": None,
}
FAILED = response(status="failed", error={"code": "rate_limit_exceeded", "message": "Slow down."})
FAILURES: dict[str, list[Any]] = {
    "chat_error": [TEXT, {"error": QUOTA}],
    "chat_error_first": [{"error": QUOTA}],
    "chat_error_beside_a_choice": [TEXT, {**chunk({}, "error"), "error": QUOTA}],
    "nested": [
        answer_forms.events(AnswerParts(("x",)))[0],
        {"type": "error", "sequence_number": 2, "error": QUOTA},
    ],
    "flat": [answer_forms.events(AnswerParts(("x",)))[0], {**QUOTA, "type": "error"}],
    "flat_first": [{**QUOTA, "type": "error"}],
    "failed": [
        *answer_forms.events(AnswerParts(("x",)))[:-1],
        {"type": "response.failed", "response": {**FAILED, "error": QUOTA}},
    ],
    "cancelled": [
        {
            "type": "response.cancelled",
            "response": {**FAILED, "status": "cancelled", "error": QUOTA},
        }
    ],
}


@pytest.mark.parametrize("case", FAILURES)
def test_failures_are_the_sdks(case: str) -> None:
    with pytest.raises(openai.APIError) as caught:
        list(read(FAILURES[case]))
    assert caught.value.code == "insufficient_quota"
    assert caught.value.message == "You exceeded your quota."


@pytest.mark.parametrize("case", [case for case in FAILURES if "chat" not in case])
def test_failures_through_the_sdk(case: str) -> None:
    made = answer_forms.client(answer_forms.Upstream(answer_forms.sse(FAILURES[case])))
    with pytest.raises(openai.APIError) as caught:
        list(read(made.responses.create(model="m", input="…", stream=True)))
    assert caught.value.code == "insufficient_quota"
    assert str(caught.value.request.url) == "http://replies.invalid/v1/responses"


RESULTS: dict[str, tuple[Json, type[Exception]]] = {
    "rate_limit": (FAILED, openai.RateLimitError),
    "server_error": (
        {**FAILED, "error": {"code": "server_error", "message": "Oh."}},
        openai.InternalServerError,
    ),
    "no_error": ({**FAILED, "error": None}, openai.InternalServerError),
    "bad_prompt": (
        {**FAILED, "error": {"code": "invalid_prompt", "message": "No."}},
        openai.BadRequestError,
    ),
    "cancelled": ({**FAILED, "status": "cancelled"}, openai.APIError),
    "queued": (response(status="queued"), openai.APIError),
    "chat_error": ({"error": QUOTA}, openai.APIError),
    "another_object": ({"object": "embedding", "data": []}, adapter.MalformedReply),
    "a_chunk": (TEXT, adapter.MalformedReply),
    "an_event": ({"type": "response.completed", "response": response()}, adapter.MalformedReply),
    "no_choices": ({"object": "chat.completion", "choices": []}, adapter.MalformedReply),
    "no_output": (response() | {"output": "x"}, adapter.MalformedReply),
    "empty": ({}, adapter.MalformedReply),
}


@pytest.mark.parametrize("case", RESULTS)
def test_results_without_an_answer(case: str) -> None:
    body, kind = RESULTS[case]
    with pytest.raises(kind):
        read(body)


@pytest.mark.parametrize("x", [None, "data: {}", b"{}", 7, object()])
def test_neither_a_result_nor_a_stream(x: Any) -> None:
    with pytest.raises(TypeError, match="expected a result or a stream"):
        read(x)


async def test_an_awaitable() -> None:
    async def result() -> Json:
        return response()

    waiting = result()
    with pytest.raises(TypeError, match="await it first"):
        read(waiting)  # type: ignore[call-overload]
    await waiting


@pytest.mark.parametrize(
    "lines", [[], ["[DONE]"], [{"type": "ping"}]], ids=["empty", "done", "ping"]
)
def test_streams_of_nothing(lines: list[Any]) -> None:
    with pytest.raises(adapter.StreamTruncated):
        list(read(lines))


@pytest.mark.parametrize("lines", [["data: {}"], [7], [[TEXT]]], ids=["text", "number", "list"])
def test_streams_of_something_else(lines: list[Any]) -> None:
    with pytest.raises(adapter.MalformedReply):
        list(read(lines))


@pytest.mark.parametrize("given", ["x", 7, []])
def test_an_end_without_a_response(given: Any) -> None:
    lines = answer_forms.events(AnswerParts(("Hello",)))
    with pytest.raises(adapter.MalformedReply):
        list(read([*lines[:-1], {"type": "response.completed", "response": given}]))


def test_test_doubles_of_results() -> None:
    message = SimpleNamespace(content="x", tool_calls=None)
    completion: Any = SimpleNamespace(
        choices=[SimpleNamespace(message=message, finish_reason="stop")]
    )
    assert read(completion).text == "x"
    part = SimpleNamespace(type="output_text", text="x")
    item = SimpleNamespace(type="message", content=[part])
    response: Any = SimpleNamespace(output=[item], status="completed")
    assert read(response).text == "x"


def test_legacy_completions_raise() -> None:
    old = {
        "id": "cmpl-1",
        "object": "text_completion",
        "choices": [{"index": 0, "text": "x", "finish_reason": "stop"}],
    }
    for x in (old, [old]):
        with pytest.raises(adapter.MalformedReply):
            list(read(x))  # type: ignore[call-overload]


def test_a_stream_that_contradicts_itself() -> None:
    lines = answer_forms.events(AnswerParts(("Hello",)))
    lines[-1]["response"]["output"][0]["content"][0]["text"] = "Goodbye"
    with pytest.raises(adapter.StreamTruncated):
        list(read(lines))


@pytest.mark.parametrize("api", ["chat", "responses"])
def test_an_sdk_stream_that_ends_early(api: str) -> None:
    lines = (
        answer_forms.chunks(AnswerParts(("Hi",)))[:-2]
        if api == "chat"
        else answer_forms.events(AnswerParts(("Hi",)))[:-1]
    )
    made = answer_forms.client(answer_forms.Upstream(answer_forms.sse(lines)))
    asked: Json = {"model": "m", "stream": True}
    stream = (
        made.chat.completions.create(messages=[], **asked)
        if api == "chat"
        else made.responses.create(input="…", **asked)
    )
    with pytest.raises(openai.APIConnectionError) as caught:
        list(read(stream))
    assert isinstance(caught.value.__cause__, adapter.StreamTruncated)
    assert str(caught.value.request.url).startswith("http://replies.invalid/v1/")


@pytest.mark.parametrize("api", ["chat", "responses"])
async def test_an_async_sdk_stream_that_fails(api: str) -> None:
    said = (
        answer_forms.chunks(AnswerParts(("Hi",)))
        if api == "chat"
        else answer_forms.events(AnswerParts(("Hi",)))
    )
    failed = (
        {"type": "response.failed", "response": {**FAILED, "error": QUOTA}}
        if api == "responses"
        else {"error": QUOTA}
    )
    wanted: list[tuple[list[Any], type[Exception]]] = [
        (said[:2], openai.APIConnectionError),
        ([said[0], failed], openai.APIError),
    ]
    for lines, kind in wanted:
        made = answer_forms.client(
            answer_forms.Upstream(answer_forms.sse(lines)), openai.AsyncOpenAI
        )
        asked: Json = {"model": "m", "stream": True}
        stream = await (
            made.chat.completions.create(messages=[], **asked)
            if api == "chat"
            else made.responses.create(input="…", **asked)
        )
        with pytest.raises(kind):
            [event async for event in read(stream)]


def test_a_broken_connection_raises_the_sdks_error() -> None:
    def broken() -> Any:
        upstream = answer_forms.Upstream(
            answer_forms.sse(answer_forms.chunks(AnswerParts(("Hi",)))[:2]),
            error=http.ReadError("gone"),
        )
        return answer_forms.client(upstream).chat.completions.create(
            model="m", messages=[], stream=True
        )

    with pytest.raises(Exception) as alone:  # noqa: PT011  # depends on the SDK
        list(broken())
    with pytest.raises(type(alone.value)):
        list(read(broken()))


EVERYTHING = AnswerParts(
    ("He", "llo"),
    ("No",),
    ("Hm",),
    (Called("f", ('{"a"', ":1}")), Called("sql", ("x",), "call_2", custom=True)),
    cited=((0, 2),),
)
ODD: list[Any] = [None, 7, "x", [], {}, [None], {"type": "message"}]


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Yield the path of every value inside a JSON value."""
    inner = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else ()
    )
    return [path] * bool(path) + [
        found for key, one in inner for found in places(one, (*path, key))
    ]


def put(value: Any, path: tuple[Any, ...], odd: Any) -> Any:
    """Return a copy of a JSON value with another value at one path."""
    if not path:
        return odd
    changed = dict(value) if isinstance(value, dict) else list(value)
    changed[path[0]] = put(changed[path[0]], path[1:], odd)
    return changed


@pytest.mark.slow
@pytest.mark.parametrize(
    "write",
    [answer_forms.completion, answer_forms.response, answer_forms.chunks, answer_forms.events],
)
def test_any_value_anywhere_is_read_or_an_adapter_error(write: Any) -> None:
    whole = write(EVERYTHING)
    for path in places(whole):
        for odd in ODD:
            x = put(whole, path, odd)
            try:
                turn = read(x) if isinstance(x, dict) else list(read(x))[-1].turn
                assert isinstance(turn.text, str)
                assert all(
                    isinstance(call.arguments, str) and call.name != {} for call in turn.tool_calls
                )
                turn.as_message(), turn.as_items(), repr(turn)
            except (adapter.TranslationError, openai.APIError):
                pass
