"""Upstream misbehaves: an exception of the SDK, never an end that looks clean.

See docs/mapping.md#stream-errors and docs/edge-cases.md#stream-cut-short.
"""

from __future__ import annotations

import json
from typing import Any

import openai
import pytest

from tests.support.answers import (
    RESPONSES,
    Sdk,
    Settings,
    call_item,
    completion,
    delta,
    ending,
    event,
    events,
    finishes,
    impatient,
    message_item,
    opening,
    paths,
    response,
    sdk,
    short_events,
    text_of,
)
from tests.support.chunking import CUTS
from tests.support.http import CONNECTION_ERRORS, helpers_of
from tests.support.loopback import Loopback, Reply

__all__ = ["impatient", "sdk"]

JSON = (("content-type", "application/json"),)
HTML = (("content-type", "text/html; charset=utf-8"),)
PAGE = b"<html><body>Sign in to the gateway</body></html>"


def read_all(one: Sdk, client: Any) -> tuple[list[Any], Exception | None]:
    """Return the chunks of a stream, and the error it ended with."""
    seen: list[Any] = []
    try:
        one.list(one.create(client, stream=True), seen.append)
    except (openai.APIError, *CONNECTION_ERRORS) as raised:
        return seen, raised
    return seen, None


# Truncation


@pytest.mark.parametrize("framing", ["close", "chunked", "length"])
def test_a_stream_cut_after_any_byte_raises(sdk: Sdk, loopback: Loopback, framing: Any) -> None:
    """Without framing a cut looks like a clean end to HTTP."""
    data = b"".join(short_events())
    sizes = range(0, len(data), 1 if framing == "close" else 7)
    clean = Reply.of_sse([data], framing="close")
    ending: Any = "complete" if framing == "close" else "close"
    cut = [Reply.of_sse([data[:size]], framing=framing, ending=ending) for size in sizes]
    loopback.answer = [clean, *cut]
    client = sdk.client(loopback)
    chunks, failure = read_all(sdk, client)
    assert (text_of(chunks), finishes(chunks), failure) == ("Hé", ["stop"], None)
    for size in sizes:
        chunks, failure = read_all(sdk, client)
        assert failure is not None, f"a clean end after {size} of {len(data)} bytes"
        assert finishes(chunks) == [], size
        assert text_of(chunks) in ("", "Hé"), size
    assert len(loopback.requests) == len(sizes) + 1


@pytest.mark.parametrize("ending", ["complete", "reset"])
def test_a_stream_cut_after_any_event_raises(sdk: Sdk, loopback: Loopback, ending: Any) -> None:
    parts = events()
    loopback.answer = [
        Reply.of_sse(parts[:count], framing="close", ending=ending) for count in range(len(parts))
    ]
    client = sdk.client(loopback)
    for count in range(len(parts)):
        chunks, failure = read_all(sdk, client)
        assert isinstance(failure, CONNECTION_ERRORS), count
        assert finishes(chunks) == [], count


def test_the_stream_helper_raises_too(sdk: Sdk, loopback: Loopback) -> None:
    loopback.answer = [Reply.of_sse(events()[:6], framing="close")]
    manager = helpers_of(sdk.client(loopback)).stream(
        model="gpt-4o", messages=[{"role": "user", "content": "x"}]
    )
    with pytest.raises(CONNECTION_ERRORS):
        sdk.inside(manager, lambda stream: stream.get_final_completion())


@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_a_whole_reply_that_is_cut_is_a_connection_error(
    sdk: Sdk, loopback: Loopback, framing: Any
) -> None:
    loopback.answer = [
        Reply(200, JSON, [json.dumps(response()).encode()[:40]], framing=framing, ending="close")
    ]
    with pytest.raises(openai.APIConnectionError):
        sdk.create(sdk.client(loopback))


def test_a_whole_reply_cut_after_any_byte_raises(sdk: Sdk, loopback: Loopback) -> None:
    data = json.dumps({"object": "response", "output": [message_item("Hé")]}).encode()
    loopback.answer = [
        Reply(200, JSON, [data[:size]], framing="close") for size in range(len(data))
    ]
    client = sdk.client(loopback)
    for size in range(len(data)):
        with pytest.raises(openai.APIError) as raised:
            sdk.create(client)
        assert raised.value.message.startswith("Error code: 502"), size
        assert raised.value.body["message"].startswith("$: "), size


@pytest.mark.parametrize("ending", ["close", "reset"])
def test_no_reply_at_all(sdk: Sdk, loopback: Loopback, ending: Any) -> None:
    loopback.answer = [Reply.drop(ending)]
    with pytest.raises(openai.APIConnectionError):
        sdk.create(sdk.client(loopback))


# Other things than a Response

FAILED = {"code": "server_error", "message": "It broke."}
LIMITED = {"code": "rate_limit_exceeded", "message": "Slow down.", "type": "requests"}
ALONE = Settings(backend="responses", fallback=[])  # a gateway's page would fall back to Chat
WRONG: dict[str, tuple[Reply, type[openai.APIError], int]] = {
    "html 200": (Reply(200, HTML, [PAGE]), openai.InternalServerError, 502),
    "html 502": (Reply(502, HTML, [PAGE]), openai.InternalServerError, 502),
    "html 403": (Reply(403, HTML, [PAGE]), openai.PermissionDeniedError, 403),
    "html declared as json": (Reply(200, JSON, [PAGE]), openai.InternalServerError, 502),
    "empty": (Reply(200, JSON, []), openai.InternalServerError, 502),
    "empty 204": (Reply(204), openai.InternalServerError, 502),
    "empty 500": (Reply(500, JSON, []), openai.InternalServerError, 500),
    "null": (Reply.of_json(None), openai.InternalServerError, 502),
    "a list": (Reply.of_json([response()]), openai.InternalServerError, 502),
    "a string": (Reply.of_json("hi"), openai.InternalServerError, 502),
    "an empty object": (Reply.of_json({}), openai.InternalServerError, 502),
    "no output": (
        Reply.of_json({key: value for key, value in response().items() if key != "output"}),
        openai.InternalServerError,
        502,
    ),
    "output object": (
        Reply.of_json(response() | {"output": {"a": 1}}),
        openai.InternalServerError,
        502,
    ),
    "error in a 200": (Reply.of_json({"error": LIMITED}), openai.RateLimitError, 429),
    "failed": (
        Reply.of_json(response(status="failed", error=FAILED) | {"output": []}),
        openai.InternalServerError,
        500,
    ),
    "failed, null error": (
        Reply.of_json(response(status="failed") | {"output": []}),
        openai.InternalServerError,
        500,
    ),
    "cancelled": (
        Reply.of_json(response(status="cancelled") | {"output": []}),
        openai.InternalServerError,
        500,
    ),
    "in progress": (
        Reply.of_json(response(status="in_progress") | {"output": []}),
        openai.BadRequestError,
        400,
    ),
    "a chat completion": (Reply.of_json(completion()), openai.InternalServerError, 502),
    "a list object": (
        Reply.of_json({"object": "list", "data": []}),
        openai.InternalServerError,
        502,
    ),
    "deeply nested": (
        Reply(200, JSON, [b'{"output":' + b"[" * 100_000]),
        openai.InternalServerError,
        502,
    ),
    "bad utf-8": (Reply(200, JSON, [b'{"output":"\xff\xfe"}']), openai.InternalServerError, 502),
}


@pytest.mark.parametrize("streamed", [False, True], ids=["create", "stream"])
@pytest.mark.parametrize("case", WRONG)
def test_what_is_no_response_raises(
    sdk: Sdk, loopback: Loopback, case: str, streamed: bool
) -> None:
    reply, expected, status = WRONG[case]
    loopback.answer = [reply]
    with pytest.raises(openai.APIStatusError) as raised:
        sdk.create(sdk.client(loopback, ALONE), **({"stream": True} if streamed else {}))
    assert type(raised.value) is expected
    assert raised.value.status_code == status
    assert paths(loopback) == [RESPONSES]
    assert PAGE.decode() not in raised.value.message or case in ("html 502", "html 403")
    if status == 502 and case != "html 502":
        assert isinstance(raised.value.body, dict)
        assert raised.value.body["message"].partition(":")[0] in ("$", "output", "object")


@pytest.mark.parametrize("case", ["html 502", "html 403", "empty 500"])
def test_errors_of_gateways_read_as_they_do_for_chat(
    sdk: Sdk, loopback: Loopback, case: str
) -> None:
    loopback.answer = lambda request: WRONG[case][0]
    seen = []
    for plain in (True, False):
        with pytest.raises(openai.APIStatusError) as raised:
            sdk.create(sdk.client(loopback, plain=plain))
        seen.append(
            (
                type(raised.value),
                str(raised.value),
                raised.value.body,
                raised.value.response.content,
            )
        )
    assert seen[0] == seen[1]


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("case", ["html 200", "empty", "a chat completion"])
def test_an_answer_that_cannot_be_read_is_not_paid_for_twice(
    sdk: Sdk, loopback: Loopback, case: str
) -> None:
    loopback.answer = [WRONG[case][0]]
    with pytest.raises(openai.InternalServerError):
        sdk.create(sdk.client(loopback, ALONE, max_retries=2))
    assert len(loopback.requests) == 1


@pytest.mark.usefixtures("impatient")
def test_an_error_in_a_200_is_retried_like_chats(sdk: Sdk, loopback: Loopback) -> None:
    loopback.answer = [WRONG["error in a 200"][0], Reply.of_json(response())]
    assert text_of(sdk.create(sdk.client(loopback, max_retries=1))) == "Hello there"


# The other kind of reply


def test_json_to_a_stream_request(sdk: Sdk, loopback: Loopback) -> None:
    loopback.answer = [Reply.of_json(response(message_item("Hello"), call_item()))]
    chunks = sdk.stream(sdk.client(loopback), stream_options={"include_usage": True})
    assert text_of(chunks) == "Hello"
    assert finishes(chunks) == ["tool_calls"]
    assert chunks[-1].usage.total_tokens == 8


@pytest.mark.parametrize("cut", CUTS)
def test_sse_to_a_request_without_stream(sdk: Sdk, loopback: Loopback, cut: str) -> None:
    loopback.answer = [Reply.of_sse(CUTS[cut](b"".join(events())))]
    assert text_of(sdk.create(sdk.client(loopback))) == "Hello there"


@pytest.mark.parametrize("count", range(len(events())))
def test_cut_sse_to_a_request_without_stream_raises(
    sdk: Sdk, loopback: Loopback, count: int
) -> None:
    loopback.answer = [Reply.of_sse(events()[:count], framing="close")]
    with pytest.raises(openai.APIError):
        sdk.create(sdk.client(loopback))


BROKEN_SSE = {
    "garbage": [b"data: nonsense\n\n"],
    "a number": [b"data: 5\n\n"],
    "null": [b"data: null\n\n"],
    "nothing": [],
    "done only": [b"data: [DONE]\n\n"],
    "an error": [event("error", code="server_error", message="It broke.")],
    "failed": [
        event("response.failed", response=response(status="failed", error=FAILED, output=[]))
    ],
}


@pytest.mark.parametrize("case", BROKEN_SSE)
def test_broken_sse_to_a_request_without_stream_raises(
    sdk: Sdk, loopback: Loopback, case: str
) -> None:
    loopback.answer = [Reply.of_sse(BROKEN_SSE[case])]
    with pytest.raises(openai.APIError):
        sdk.create(sdk.client(loopback))


# Events

HALF = [*opening(), delta("Hello ")]
BROKEN_EVENTS: dict[str, list[bytes]] = {
    "not json": [b"data: nonsense\n\n"],
    "half json": [b'data: {"type":"response.output_text.del\n\n'],
    "a number": [b"data: 5\n\n"],
    "a list": [b'data: [{"type":"response.completed"}]\n\n'],
    "null": [b"data: null\n\n"],
    "deeply nested": [b'data: {"type":"x","a":' + b"[" * 100_000 + b"\n\n"],
    "bad utf-8": [b'data: {"type":"response.output_text.delta","delta":"\xff"}\n\n'],
    "done first": [b"data: [DONE]\n\n"],
    "chat's error frame": [b'data: {"error":{"message":"It broke.","type":"server_error"}}\n\n'],
    "another text": [ending("Good bye")],
    "a call without a name": [
        event(
            "response.completed",
            response=response(message_item("Hello "), {"type": "function_call"}),
        )
    ],
    "completed, but failed": [
        event("response.completed", response=response(status="failed", error=FAILED, output=[]))
    ],
}


@pytest.mark.parametrize("case", BROKEN_EVENTS)
def test_broken_events_end_the_stream_with_an_error(
    sdk: Sdk, loopback: Loopback, case: str
) -> None:
    loopback.answer = [Reply.of_sse([*HALF, *BROKEN_EVENTS[case]])]
    chunks, failure = read_all(sdk, sdk.client(loopback))
    assert text_of(chunks) == "Hello "
    assert finishes(chunks) == []
    assert failure is not None
    assert len(loopback.requests) == 1


ODD_EVENTS: dict[str, list[bytes]] = {
    "no type": [b'data: {"a":1}\n\n'],
    "type of another kind": [
        b'data: {"type":5}\n\n',
        b'data: {"type":["x"]}\n\n',
        b'data: {"type":{"a":1}}\n\n',
    ],
    "unknown type": [event("response.something.new", response=5)],
    "keepalive": [
        event("keepalive", sequence_number=2),
        b": ping\n\n",
        b"\n\n",
        b"event: ping\n\n",
        b"data:\n\n",
        b"data\n\n",
    ],
    "delta of another kind": [
        event("response.output_text.delta", output_index=0, content_index=0, delta=5)
    ],
    "no item": [
        event("response.output_item.added", output_index=3, item=None),
        event("response.output_item.done", item=[]),
    ],
    "no part": [event("response.content_part.added", output_index=0, content_index=0, part=None)],
    "no response": [event("response.in_progress", response=[])],
    "index of another kind": [
        event("response.output_item.added", output_index={"a": 1}, item={"type": "reasoning"})
    ],
    "retry and id": [b"id: 5\nretry: 10\n\n"],
    "reasoning": [
        event("response.reasoning_summary_text.delta", output_index=5, summary_index=0, delta="hm")
    ],
}


UNREADABLE = ("delta of another kind", "no item")
"""Events that can't be read: to continue would lose them silently."""


@pytest.mark.parametrize("case", ODD_EVENTS)
def test_odd_events_are_skipped_or_an_error(sdk: Sdk, loopback: Loopback, case: str) -> None:
    loopback.answer = [Reply.of_sse([*HALF, *ODD_EVENTS[case], delta("there"), ending()])]
    chunks, failure = read_all(sdk, sdk.client(loopback))
    assert (failure is not None) == (case in UNREADABLE)
    if failure is None:
        assert (text_of(chunks), finishes(chunks)) == ("Hello there", ["stop"])
    else:
        assert finishes(chunks) == []


@pytest.mark.parametrize(
    "second", ["response.completed", "response.failed", "response.incomplete", "error"]
)
def test_of_two_terminal_events_the_first_counts(sdk: Sdk, loopback: Loopback, second: str) -> None:
    more = (
        event("error", message="late")
        if second == "error"
        else ending("Something else", kind=second, status="failed")
    )
    loopback.answer = [Reply.of_sse([*events(), more])]
    chunks, failure = read_all(sdk, sdk.client(loopback))
    assert failure is None
    assert (text_of(chunks), finishes(chunks)) == ("Hello there", ["stop"])


@pytest.mark.parametrize("mark", [b"\r\n", b"\r"], ids=["CRLF", "CR"])
@pytest.mark.parametrize("cut", CUTS)
def test_other_line_ends(sdk: Sdk, loopback: Loopback, cut: str, mark: bytes) -> None:
    data = b"".join(events()).replace(b"\n", mark)
    loopback.answer = [Reply.of_sse(CUTS[cut](data))]
    chunks, failure = read_all(sdk, sdk.client(loopback))
    assert failure is None
    assert (text_of(chunks), finishes(chunks)) == ("Hello there", ["stop"])


def test_other_spellings_of_sse(sdk: Sdk, loopback: Loopback) -> None:
    """Events without a name, with the name last, with data over several lines, with a BOM."""

    def spell(number: int, block: bytes) -> bytes:
        name, data = block.decode().strip().split("\n")
        payload = json.loads(data.removeprefix("data: "))
        lines = [f"data:{line}" for line in json.dumps(payload, indent=1).split("\n")]
        return "\n".join(
            [lines, [*lines, name], [name, ": comment", *lines]][number % 3] + ["", ""]
        ).encode()

    loopback.answer = [
        Reply.of_sse(
            [b"\xef\xbb\xbf", *[spell(number, block) for number, block in enumerate(events())]]
        )
    ]
    chunks, failure = read_all(sdk, sdk.client(loopback))
    assert failure is None
    assert text_of(chunks) == "Hello there"


# Sizes


def test_ten_megabytes_of_arguments(sdk: Sdk, loopback: Loopback) -> None:
    arguments = json.dumps({"text": "x" * 10_000_000})
    item = call_item(arguments=arguments)
    parts = [
        opening()[0],
        event(
            "response.output_item.added",
            output_index=0,
            item=item | {"arguments": "", "status": "in_progress"},
        ),
        event("response.function_call_arguments.delta", output_index=0, delta=arguments),
        event("response.output_item.done", output_index=0, item=item),
        event("response.completed", response=response(item)),
    ]
    data = b"".join(parts)
    loopback.answer = [
        Reply.of_sse([data[start : start + 1_000_000] for start in range(0, len(data), 1_000_000)])
    ]
    chunks, failure = read_all(sdk, sdk.client(loopback))
    assert failure is None
    calls = [call for chunk in chunks for call in chunk.choices[0].delta.tool_calls or []]
    assert "".join(call.function.arguments for call in calls) == arguments
    assert finishes(chunks) == ["tool_calls"]


def test_a_hundred_thousand_tiny_events(sdk: Sdk, loopback: Loopback) -> None:
    count = sdk.pick(100_000, 10_000)
    tiny = event("response.output_text.delta", output_index=0, delta="x") * 1000
    parts = [*opening(), *[tiny] * (count // 1000), ending("x" * count)]
    loopback.answer = [Reply.of_sse(parts)]
    manager = sdk.client(loopback).chat.completions.with_streaming_response.create(
        model="gpt-4o", messages=[{"role": "user", "content": "x"}], stream=True
    )
    data = sdk.inside(manager, lambda reply: reply.read())
    assert data.count(b'"content":"x"') == count
    assert data.endswith(b"data: [DONE]\n\n")
