"""How a Chat caller gets errors of the Responses API: status, code, and `param` in Chat's terms.

Through every way in. Numbers in the ids are those of docs/edge-cases.md; the expected paths are
written out.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import openai
import pytest

from adapter.errors import UpstreamFailure
from adapter.translation import (
    ChunksFromEvents,
    Policy,
    chat_to_responses,
    error_to_chat,
    param_to_chat,
    response_to_completion,
)
from tests.support.http import CONNECTION_ERRORS, LEFT_OPEN
from tests.support.ways_in import Reply, WayIn, both, each_way_in

Json = dict[str, Any]

SCHEMA: Json = {"type": "object", "properties": {}}


def function(name: str = "f") -> Json:
    return {"type": "function", "function": {"name": name, "parameters": SCHEMA}}


def custom(name: str = "sql") -> Json:
    grammar = {"definition": 'start: "a"', "syntax": "lark"}
    return {
        "type": "custom",
        "custom": {"name": name, "format": {"type": "grammar", "grammar": grammar}},
    }


def asked(**more: Any) -> Json:
    return {"model": "gpt-4.1", "messages": [{"role": "user", "content": "Hi"}], **more}


# The comments give the indexes of the items that these messages become.
RICH: Json = asked(
    messages=[
        {"role": "system", "content": "Be brief."},  # 0
        {
            "role": "user",  # 1
            "content": [
                {"type": "text", "text": "Look:"},
                {"type": "image_url", "image_url": {"url": "https://x.test/i.png"}},
                {
                    "type": "file",
                    "file": {
                        "file_data": "data:application/pdf;base64,JVBERi0=",
                        "filename": "a.pdf",
                    },
                },
            ],
        },
        {
            "role": "assistant",
            "content": "Checking",  # 2
            "tool_calls": [
                {
                    "id": "call_1",
                    "type": "function",
                    "function": {"name": "f", "arguments": "{}"},
                },  # 3
                {
                    "id": "call_2",
                    "type": "custom",
                    "custom": {"name": "sql", "input": "SELECT 1"},
                },  # 4
            ],
        },
        {"role": "tool", "tool_call_id": "call_1", "content": "4"},  # 5
        {"role": "tool", "tool_call_id": "call_2", "content": [{"type": "text", "text": "1"}]},  # 6
        {
            "role": "assistant",  # 7
            "content": [
                {"type": "text", "text": "Four."},
                {"type": "refusal", "refusal": "No more."},
            ],
        },
        {"role": "assistant", "content": None, "refusal": "no"},  # 8
        {"role": "user", "content": "Thanks"},  # 9
    ],
    tools=[function(), custom()],
    tool_choice={"type": "function", "function": {"name": "f"}},
    response_format={"type": "json_schema", "json_schema": {"name": "s", "schema": SCHEMA}},
    max_completion_tokens=100,
    reasoning_effort="low",
    verbosity="low",
    logprobs=True,
    top_logprobs=2,
)
LEGACY: Json = asked(
    messages=[
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": "{}"}},
        {"role": "function", "name": "f", "content": "4"},
    ],
    functions=[{"name": "f", "parameters": SCHEMA}],
    function_call={"name": "f"},
    max_tokens=100,
)
CUSTOM_CHOICE = asked(tools=[custom()], tool_choice={"type": "custom", "custom": {"name": "sql"}})
ALLOWED: Json = asked(
    tools=[function()],
    tool_choice={
        "type": "allowed_tools",
        "allowed_tools": {
            "mode": "auto",
            "tools": [{"type": "function", "function": {"name": "f"}}],
        },
    },
)
SEARCH = asked(tools=[function()], web_search_options={})


@dataclass(frozen=True, slots=True)
class Row:
    """A path in the Responses API's terms, and in Chat's for this request."""

    input: str
    expected: str
    request: Mapping[str, Any] = field(default_factory=lambda: RICH)
    message: str = "No."  # the error's own message was "No."

    @property
    def id(self) -> str:
        """The row's name."""
        return f"45-{self.input}-is-{self.expected}"


ROWS = (
    Row("input", "messages"),
    Row("input[0]", "messages[0]"),
    Row("input[0].role", "messages[0].role"),
    Row("input[0].content", "messages[0].content"),
    Row("input[0].content[0]", "messages[0].content"),
    Row("input[1].content[0]", "messages[1].content[0]"),
    Row("input[1].content[0].type", "messages[1].content[0].type"),
    Row("input[1].content[0].text", "messages[1].content[0].text"),
    Row("input[1].content[1].image_url", "messages[1].content[1].image_url.url"),
    Row("input[1].content[1].detail", "messages[1].content[1].image_url.detail"),
    Row("input[1].content[2].file_data", "messages[1].content[2].file.file_data"),
    Row("input[1].content[2].filename", "messages[1].content[2].file.filename"),
    Row("input[1].content[2].file_id", "messages[1].content[2].file.file_id"),
    Row("input[2]", "messages[2]"),
    Row("input[2].content[0]", "messages[2].content"),
    Row("input[2].content[0].text", "messages[2].content"),
    Row("input[3]", "messages[2].tool_calls[0]"),
    Row("input[3].call_id", "messages[2].tool_calls[0].id"),
    Row("input[3].name", "messages[2].tool_calls[0].function.name"),
    Row("input[3].arguments", "messages[2].tool_calls[0].function.arguments"),
    Row("input[4]", "messages[2].tool_calls[1]"),
    Row("input[4].call_id", "messages[2].tool_calls[1].id"),
    Row("input[4].name", "messages[2].tool_calls[1].custom.name"),
    Row("input[4].input", "messages[2].tool_calls[1].custom.input"),
    Row("input[5]", "messages[3]"),
    Row("input[5].call_id", "messages[3].tool_call_id"),
    Row("input[5].output", "messages[3].content"),
    Row("input[6].output", "messages[4].content"),
    Row("input[6].output[0]", "messages[4].content[0]"),
    Row("input[6].output[0].text", "messages[4].content[0].text"),
    Row("input[7].content[0].text", "messages[5].content[0].text"),
    Row("input[7].content[1].refusal", "messages[5].content[1].refusal"),
    Row("input[8].content[0].refusal", "messages[6].refusal"),
    Row("input[9].content", "messages[7].content"),
    Row("max_output_tokens", "max_completion_tokens"),
    Row("max_output_tokens", "max_tokens", LEGACY),
    Row("text", "response_format"),
    Row("text.format", "response_format"),
    Row("text.format.type", "response_format.type"),
    Row(
        "text.format.schema", "response_format", message="No. (response_format.json_schema.schema)"
    ),
    Row(
        "text.format.schema.properties.a[0]",
        "response_format",
        message="No. (response_format.json_schema.schema.properties.a[0])",
    ),
    Row("text.format.name", "response_format.json_schema.name"),
    Row("text.format.strict", "response_format.json_schema.strict"),
    Row("text.format.description", "response_format.json_schema.description"),
    Row("text.verbosity", "verbosity"),
    Row("reasoning", "reasoning_effort"),
    Row("reasoning.effort", "reasoning_effort"),
    Row("tools", "tools"),
    Row("tools[0]", "tools[0]"),
    Row("tools[0].name", "tools[0].function.name"),
    Row("tools[0].description", "tools[0].function.description"),
    Row("tools[0].parameters", "tools[0].function.parameters"),
    Row(
        "tools[0].parameters.properties.q",
        "tools[0].function.parameters",
        message="No. (tools[0].function.parameters.properties.q)",
    ),
    Row("tools[0].strict", "tools[0].function.strict"),
    Row("tools[1].name", "tools[1].custom.name"),
    Row("tools[1].description", "tools[1].custom.description"),
    Row("tools[1].format", "tools[1].custom.format"),
    Row("tools[1].format.definition", "tools[1].custom.format.grammar.definition"),
    Row("tools[1].format.syntax", "tools[1].custom.format.grammar.syntax"),
    Row("tools[0]", "functions[0]", LEGACY),
    Row("tools[0].name", "functions[0].name", LEGACY),
    Row("tools[0].parameters", "functions[0].parameters", LEGACY),
    Row(
        "tools[0].parameters.type",
        "functions[0].parameters",
        LEGACY,
        "No. (functions[0].parameters.type)",
    ),
    Row("tools[1]", "web_search_options", SEARCH),
    Row("tools[0].name", "tools[0].function.name", SEARCH),
    Row("tool_choice", "tool_choice"),
    Row("tool_choice", "function_call", LEGACY),
    Row("tool_choice.name", "tool_choice.function.name"),
    Row("tool_choice.name", "tool_choice.custom.name", CUSTOM_CHOICE),
    Row("tool_choice.name", "function_call.name", LEGACY),
    Row("tool_choice.mode", "tool_choice.allowed_tools.mode", ALLOWED),
    Row("tool_choice.tools[0]", "tool_choice.allowed_tools.tools[0]", ALLOWED),
    Row("include", "logprobs"),
    Row("include[0]", "logprobs"),
    Row("top_logprobs", "top_logprobs"),
    # A reasoning model names this parameter whatever was sent; Chat's name is `logprobs`, the only
    # one this caller wrote.
    Row("top_logprobs", "logprobs", asked(logprobs=True)),
    # A caller that wrote the Responses API's own terms gets them back.
    Row("reasoning.effort", "reasoning.effort", asked(reasoning={"effort": "low"})),
    Row("text.verbosity", "text.verbosity", asked(text={"verbosity": "low"})),
    Row("include[0]", "include[0]", asked(include=["web_search_call.action.sources"])),
    Row("input[1]", "messages[1].function_call", LEGACY),
    Row("input[1].arguments", "messages[1].function_call.arguments", LEGACY),
    Row("input[2].output", "messages[2].content", LEGACY),
    Row("temperature", "temperature"),
    Row("model", "model"),
    Row("metadata.k", "metadata.k"),
)
each_row = pytest.mark.parametrize("row", ROWS, ids=[row.id for row in ROWS])
_EMULATE = ("web_search_options",)


@each_row
def test_45_param_by_the_pure_functions(row: Row) -> None:
    made = chat_to_responses(row.request, Policy(emulate=frozenset(_EMULATE)))
    assert param_to_chat(row.input, made.paths) == row.expected
    body = {
        "error": {"message": "No.", "type": "t", "param": row.input, "code": "c", "extra": [1]},
        "beside": 1,
    }
    before = copy.deepcopy(body)
    expected = {
        "error": {
            "message": row.message,
            "type": "t",
            "param": row.expected,
            "code": "c",
            "extra": [1],
        },
        "beside": 1,
    }
    assert error_to_chat(body, made.paths) == expected
    assert body == before


@each_row
@each_way_in
def test_45_param_through_a_way_in(way_in: WayIn, row: Row) -> None:
    error = {
        "message": "No.",
        "type": "invalid_request_error",
        "param": row.input,
        "code": "invalid_value",
    }
    seen = way_in.create(row.request, both(Reply.of_json({"error": error}, 400)), emulate=_EMULATE)
    assert type(seen.error) is openai.BadRequestError
    assert seen.error.param == row.expected
    assert seen.error.body == error | {"param": row.expected, "message": row.message}
    assert seen.paths == ["/v1/responses"]


@each_way_in
def test_45_a_null_param_stays(way_in: WayIn) -> None:
    error = {
        "message": "No.",
        "type": "invalid_request_error",
        "param": None,
        "code": "invalid_value",
    }
    seen = way_in.create(RICH, both(Reply.of_json({"error": error}, 400)))
    assert isinstance(seen.error, openai.BadRequestError)
    assert seen.error.body == error


@dataclass(frozen=True, slots=True)
class Status:
    """An error's status, and the SDK's exception for it."""

    id: str
    input: int
    expected: type[openai.APIStatusError]


STATUSES = (
    Status("401", 401, openai.AuthenticationError),
    Status("403", 403, openai.PermissionDeniedError),
    Status("404", 404, openai.NotFoundError),
    Status("409", 409, openai.ConflictError),
    Status("422", 422, openai.UnprocessableEntityError),
    Status("429", 429, openai.RateLimitError),
    Status("500", 500, openai.InternalServerError),
    Status("503", 503, openai.InternalServerError),
)
each_status = pytest.mark.parametrize("case", STATUSES, ids=[case.id for case in STATUSES])
_HEADERS = (("x-request-id", "req_1"), ("retry-after", "7"), ("x-ratelimit-remaining-tokens", "0"))


@pytest.mark.parametrize("streaming", [False, True], ids=["whole", "streamed"])
@each_status
@each_way_in
def test_status_code_and_headers_stay(way_in: WayIn, case: Status, streaming: bool) -> None:
    error = {
        "message": "No.",
        "type": "some_type",
        "param": "input",
        "code": "some_code",
        "inner": {"a": 1},
    }
    run = way_in.stream if streaming else way_in.create
    seen = run(asked(), both(Reply.of_json({"error": error}, case.input, _HEADERS)))
    assert type(seen.error) is case.expected
    assert seen.error.status_code == case.input
    assert (seen.error.code, seen.error.type, seen.error.param) == (
        "some_code",
        "some_type",
        "messages",
    )
    assert seen.error.request_id == "req_1"
    assert [seen.error.response.headers[name] for name, _ in _HEADERS] == [
        value for _, value in _HEADERS
    ]
    assert seen.error.body == error | {"param": "messages"}
    assert seen.open == 0


@each_way_in
def test_a_gateways_page_stays_as_it_is(way_in: WayIn) -> None:
    page = Reply(502, (b"<html>Bad gateway</html>",), "text/html")
    seen = way_in.create(asked(), both(page))
    assert type(seen.error) is openai.InternalServerError
    assert seen.error.response.text == "<html>Bad gateway</html>"
    assert seen.error.response.headers["content-type"] == "text/html"


# A response that failed, with HTTP 200.


@dataclass(frozen=True, slots=True)
class Failed:
    """The error of a failed response, the SDK's exception for it, and the status."""

    id: str
    input: Json | None
    expected: type[openai.APIStatusError]
    status: int


_IMAGE_CODES = [
    "invalid_image",
    "invalid_image_format",
    "invalid_base64_image",
    "invalid_image_url",
    "image_too_large",
    "image_too_small",
    "image_parse_error",
    "image_content_policy_violation",
    "invalid_image_mode",
    "image_file_too_large",
    "unsupported_image_media_type",
    "empty_image_file",
    "failed_to_download_image",
    "image_file_not_found",
]


def _failed(code: str, expected: type[openai.APIStatusError], status: int) -> Failed:
    return Failed(f"44-{code}", {"code": code, "message": "It failed."}, expected, status)


FAILED = (
    _failed("server_error", openai.InternalServerError, 500),
    _failed("of_tomorrow", openai.InternalServerError, 500),
    _failed("rate_limit_exceeded", openai.RateLimitError, 429),
    _failed("insufficient_quota", openai.RateLimitError, 429),
    _failed("vector_store_timeout", openai.InternalServerError, 504),
    _failed("invalid_prompt", openai.BadRequestError, 400),
    _failed("data_residency_mismatch", openai.BadRequestError, 400),
    _failed("bio_policy", openai.BadRequestError, 400),
    _failed("misalignment_policy_violation", openai.PermissionDeniedError, 403),
    *(_failed(code, openai.BadRequestError, 400) for code in _IMAGE_CODES),
    Failed("44-no-error-object", None, openai.InternalServerError, 500),
)
each_failed = pytest.mark.parametrize("case", FAILED, ids=[case.id for case in FAILED])


def response(**more: Any) -> Json:
    base = {
        "id": "resp_abc",
        "object": "response",
        "created_at": 1780000000.0,
        "model": "gpt-4.1",
        "output": [],
    }
    return base | {"status": "failed", "usage": None, "incomplete_details": None, **more}


@each_failed
def test_44_the_pure_function(case: Failed) -> None:
    with pytest.raises(UpstreamFailure) as raised:
        response_to_completion(response(error=case.input))
    assert raised.value.status == case.status
    assert raised.value.error["code"] == (case.input or {}).get("code")


@each_failed
@each_way_in
def test_44_failed_with_200(way_in: WayIn, case: Failed) -> None:
    seen = way_in.create(asked(), both(Reply.of_json(response(error=case.input))))
    assert type(seen.error) is case.expected
    assert seen.error.status_code == case.status
    assert seen.error.code == (case.input or {}).get("code")
    assert isinstance(seen.error.body, dict)
    if case.input is not None:
        assert seen.error.body["message"] == "It failed."
    assert seen.open == 0


@pytest.mark.parametrize("status", ["cancelled", "queued", "in_progress"])
@each_way_in
def test_44_what_has_not_run(way_in: WayIn, status: str) -> None:
    seen = way_in.create(asked(), both(Reply.of_json(response(status=status, error=None))))
    assert isinstance(seen.error, openai.APIError)


@each_way_in
def test_44_the_rest_of_the_error_stays(way_in: WayIn) -> None:
    given = {
        "code": "misalignment_policy_violation",
        "message": "No.",
        "param": "input[0]",
        "misalignment": {"a": 1},
    }
    seen = way_in.create(asked(), both(Reply.of_json(response(error=given))))
    assert isinstance(seen.error, openai.PermissionDeniedError)
    assert isinstance(seen.error.body, dict)
    assert seen.error.param == "messages[0]"
    assert seen.error.body["misalignment"] == {"a": 1}


@each_way_in
def test_44_what_was_paid_for_is_not_retried(way_in: WayIn) -> None:
    text_events = {
        "type": "message",
        "role": "assistant",
        "content": [{"type": "output_text", "text": "Hel"}],
    }
    error = {"code": "server_error", "message": "It failed."}
    paid = way_in.create(asked(), both(Reply.of_json(response(error=error, output=[text_events]))))
    free = way_in.create(asked(), both(Reply.of_json(response(error=error))))
    assert isinstance(paid.error, openai.InternalServerError)
    assert isinstance(free.error, openai.InternalServerError)
    assert paid.error.response.headers.get("x-should-retry") == "false"
    assert free.error.response.headers.get("x-should-retry") != "false"


# Failures in a stream.


def wire(events: Iterable[Json]) -> list[bytes]:
    return [f"data: {json.dumps(event)}\n\n".encode() for event in events]


def started() -> list[Json]:
    base = response(status="in_progress", error=None)
    return [{"type": f"response.{kind}", "response": base} for kind in ("created", "in_progress")]


def text_events(*deltas: str) -> list[Json]:
    base = {
        "type": "response.output_text.delta",
        "item_id": "msg_1",
        "output_index": 0,
        "content_index": 0,
    }
    return [base | {"delta": delta, "logprobs": []} for delta in deltas]


@dataclass(frozen=True, slots=True)
class Broken:
    """An event that breaks a stream; the exception's code, message and param.

    Its class is the one where no text was sent yet.
    """

    id: str
    input: Json
    expected: tuple[str | None, str, str | None]
    early: type[openai.APIError]


_QUOTA = {
    "type": "insufficient_quota",
    "code": "insufficient_quota",
    "message": "No more.",
    "param": None,
}
_LIMIT = {"code": "rate_limit_exceeded", "message": "Slow down."}

BROKEN = (
    Broken(
        "56-flat-error",
        {
            "type": "error",
            "code": "server_error",
            "message": "Oh.",
            "param": "input[0]",
            "sequence_number": 3,
        },
        ("server_error", "Oh.", "messages[0]"),
        openai.InternalServerError,
    ),
    Broken(
        "56-nested-error",
        {"type": "error", "sequence_number": 2, "error": _QUOTA},
        ("insufficient_quota", "No more.", None),
        openai.RateLimitError,
    ),
    Broken(
        "56-chats-own-error",
        {
            "error": {
                "type": "server_error",
                "code": "server_error",
                "message": "Oh.",
                "param": None,
            }
        },
        ("server_error", "Oh.", None),
        openai.InternalServerError,
    ),
    Broken(
        "56-failed",
        {"type": "response.failed", "response": response(error=_LIMIT)},
        ("rate_limit_exceeded", "Slow down.", None),
        openai.RateLimitError,
    ),
    Broken(
        "56-completed-that-failed",
        {"type": "response.completed", "response": response(error=_LIMIT)},
        ("rate_limit_exceeded", "Slow down.", None),
        openai.RateLimitError,
    ),
)
each_broken = pytest.mark.parametrize("case", BROKEN, ids=[case.id for case in BROKEN])


@each_broken
def test_56_the_pure_machine(case: Broken) -> None:
    machine = ChunksFromEvents()
    for event in [*started(), *text_events("a", "b", "c")]:
        machine.feed(event)
    with pytest.raises(UpstreamFailure) as raised:
        machine.feed(case.input)
    assert (raised.value.error["code"], raised.value.error["message"]) == case.expected[:2]
    assert machine.ended


@pytest.mark.parametrize("pieces", ["whole", "per event"])
@each_broken
@each_way_in
def test_56_after_three_deltas(way_in: WayIn, case: Broken, pieces: str) -> None:
    events = wire([*started(), *text_events("a", "b", "c"), case.input])
    seen = way_in.stream(
        asked(), both(Reply.of_sse([b"".join(events)] if pieces == "whole" else events))
    )
    _check_stream_error(seen.error, case)
    assert [chunk.choices[0].delta.content for chunk in seen.chunks] == ["", "a", "b", "c"]
    assert not [chunk for chunk in seen.chunks if chunk.choices[0].finish_reason]
    assert seen.open <= LEFT_OPEN


def _check_stream_error(error: Exception | None, case: Broken) -> None:
    assert type(error) is openai.APIError  # the SDK raises this for an error in a Chat stream
    assert (error.code, error.param) == (case.expected[0], case.expected[2])
    assert isinstance(error.body, dict)
    assert error.body["message"] == case.expected[1]


@each_broken
@each_way_in
def test_56_before_any_text(way_in: WayIn, case: Broken) -> None:
    for events in ([*started(), case.input], [*started()[:1], case.input], [case.input]):
        seen = way_in.stream(asked(), both(Reply.of_sse([b"".join(wire(events))])))
        assert type(seen.error) is case.early
        assert isinstance(seen.error, openai.APIError)
        assert (seen.error.code, seen.error.param) == (case.expected[0], case.expected[2])
        assert seen.chunks == []
        assert seen.open == 0


@each_broken
@each_way_in
def test_56_after_the_stream_was_handed_over(way_in: WayIn, case: Broken) -> None:
    seen = way_in.stream(asked(), both(Reply.of_sse(wire([*started(), case.input]))))
    _check_stream_error(seen.error, case)
    assert seen.chunks == []
    assert seen.open <= LEFT_OPEN


@each_broken
@each_way_in
def test_56_through_the_helper(way_in: WayIn, case: Broken) -> None:
    seen = way_in.helper(
        asked(), both(Reply.of_sse(wire([*started(), *text_events("a"), case.input])))
    )
    _check_stream_error(seen.error, case)
    assert seen.value is None


@pytest.mark.parametrize(
    "event",
    [
        {"type": "response.cancelled", "response": response(status="cancelled", error=None)},
        {"type": "response.completed", "response": response(status="cancelled", error=None)},
        {"type": "response.failed", "response": response(error=None)},
        {"type": "error"},
    ],
    ids=["cancelled", "completed-but-cancelled", "failed-without-error", "error-without-anything"],
)
@each_way_in
def test_56_other_unsuccessful_ends(way_in: WayIn, event: Json) -> None:
    seen = way_in.stream(asked(), both(Reply.of_sse(wire([*started(), *text_events("a"), event]))))
    assert isinstance(seen.error, openai.APIError)
    assert not [chunk for chunk in seen.chunks if chunk.choices[0].finish_reason]


@each_way_in
def test_56_nothing_after_a_failure_is_read(way_in: WayIn) -> None:
    good = {"type": "response.completed", "response": response(status="completed", error=None)}
    seen = way_in.stream(
        asked(), both(Reply.of_sse(wire([*started(), *text_events("a"), BROKEN[0].input, good])))
    )
    _check_stream_error(seen.error, BROKEN[0])


@each_way_in
def test_56_an_event_that_is_not_json(way_in: WayIn) -> None:
    seen = way_in.stream(
        asked(), both(Reply.of_sse([*wire([*started(), *text_events("a")]), b"data: {no\n\n"]))
    )
    assert isinstance(seen.error, openai.APIError)
    assert [chunk.choices[0].delta.content for chunk in seen.chunks] == ["", "a"]


@pytest.mark.parametrize("reset", [False, True], ids=["closed", "reset"])
@pytest.mark.parametrize(
    ("length", "expected"), [(0, []), (1, []), (2, []), (3, ["", "a"]), (5, ["", "a", "b", "c"])]
)
@each_way_in
def test_55_the_connection_breaks(
    way_in: WayIn, length: int, expected: list[str], reset: bool
) -> None:
    events = wire([*started(), *text_events("a", "b", "c")])[:length]
    seen = way_in.stream(asked(), both(Reply.of_sse(events, reset=reset)))
    assert isinstance(seen.error, CONNECTION_ERRORS)
    assert [chunk.choices[0].delta.content for chunk in seen.chunks] == expected
    assert seen.open <= LEFT_OPEN


@dataclass(frozen=True, slots=True)
class Incomplete:
    """A reason for an incomplete response, and the finish reason."""

    id: str
    input: Json | None
    expected: str


INCOMPLETE = (
    Incomplete("57-max-output-tokens", {"reason": "max_output_tokens"}, "length"),
    Incomplete("57-content-filter", {"reason": "content_filter"}, "content_filter"),
    Incomplete("57-of-tomorrow", {"reason": "of_tomorrow"}, "length"),
    Incomplete("57-no-details", None, "length"),
)


@pytest.mark.parametrize("case", INCOMPLETE, ids=[case.id for case in INCOMPLETE])
@each_way_in
def test_57_incomplete_ends_with_its_reason_and_the_usage(way_in: WayIn, case: Incomplete) -> None:
    usage = {"input_tokens": 5, "output_tokens": 4, "total_tokens": 9}
    last = response(status="incomplete", error=None, incomplete_details=case.input, usage=usage)
    events = [*started(), *text_events("a"), {"type": "response.incomplete", "response": last}]
    seen = way_in.stream(
        asked(stream_options={"include_usage": True}), both(Reply.of_sse(wire(events)))
    )
    seen.reraise()
    assert [choice.finish_reason for chunk in seen.chunks for choice in chunk.choices] == [
        None,
        None,
        case.expected,
    ]
    assert seen.chunks[-1].choices == []
    assert seen.chunks[-1].usage.total_tokens == 9
