"""Ends of replies that differ between servers.

Nulls, usages, cut answers, answers without text, and events without content.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import openai
import pytest

from adapter.errors import MalformedReply, TranslationError, UpstreamFailure
from adapter.translation import ChunksFromEvents, ReplyContext, response_to_completion
from tests.support.ways_in import Reply, WayIn, both, each_way_in

Json = dict[str, Any]
CALL: Json = {"model": "gpt-4.1", "messages": [{"role": "user", "content": "Hi"}]}
STREAMED: Json = {**CALL, "stream_options": {"include_usage": True}}


def message(text: str = "Hello", **more: Any) -> Json:
    part = {"type": "output_text", "text": text, "annotations": []}
    return {"type": "message", "id": "msg_1", "role": "assistant", "content": [part], **more}


def response(*output: Json, **more: Any) -> Json:
    return {"id": "resp_1", "object": "response", "created_at": 1, "status": "completed", "model": "m",
            "output": list(output), "error": None, "incomplete_details": None, **more}  # fmt: skip


def end(given: Json, kind: str = "completed") -> Json:
    return {"type": f"response.{kind}", "response": given}


def wire(events: Iterable[Json]) -> list[bytes]:
    return [b"data: " + json.dumps(event).encode() + b"\n\n" for event in events]


Outcome = tuple[str, str | None, Any, list[tuple[str, str]]]
"""Text, finish reason, usage, and path and action of each entry of the ledger."""


def whole(given: Json) -> Outcome:
    reply = response_to_completion(given)
    choice = reply.body["choices"][0]
    losses = [(loss.path, loss.action) for loss in reply.losses]
    return (
        choice["message"]["content"] or "",
        choice["finish_reason"],
        reply.body.get("usage"),
        losses,
    )


def streamed(events: list[Json]) -> Outcome:
    machine = ChunksFromEvents(ReplyContext(stream=True, include_usage=True))
    chunks = [chunk for event in events for chunk in machine.feed(event)]
    machine.close()
    choices = [choice for chunk in chunks for choice in chunk["choices"]]
    text = "".join(choice["delta"].get("content") or "" for choice in choices)
    usage = [chunk["usage"] for chunk in chunks if chunk.get("usage")]
    finish = [choice["finish_reason"] for choice in choices if choice["finish_reason"]]
    assert len(finish) == 1
    return (
        text,
        finish[0],
        usage[0] if usage else None,
        [(loss.path, loss.action) for loss in machine.losses],
    )


# Nulls where lists and numbers are expected

NULLS: dict[str, tuple[Json, str]] = {
    "output": (response() | {"output": None}, ""),
    "content": (response(message() | {"content": None}), ""),
    "a part's text": (response(message() | {"content": [{"type": "output_text", "text": None}]}), ""),
    "annotations": (response(message() | {"content": [{"type": "output_text", "text": "Hi", "annotations": None}]}), "Hi"),
    "logprobs": (response(message() | {"content": [{"type": "output_text", "text": "Hi", "logprobs": None}]}), "Hi"),
    "created_at": (response(message("Hi"), created_at=None), "Hi"),
    "tools": (response(message("Hi"), tools=None, tool_choice=None, metadata=None), "Hi"),
    "model and tier": (response(message("Hi"), model=None, service_tier=None), "Hi"),
    "a summary": (response({"type": "reasoning", "summary": None, "content": None}, message("Hi")), "Hi"),
    "an empty error": (response(message("Hi"), error={}), "Hi"),
    "an empty error without text": (response(error={}), ""),
}  # fmt: skip


@pytest.mark.parametrize("case", NULLS)
def test_nulls(case: str) -> None:
    given, text = NULLS[case]
    expected = (text, "stop", None, [])
    assert whole(given) == expected
    assert streamed([end(given)]) == expected


@pytest.mark.parametrize("case", ["output", "content", "created_at"])
@each_way_in
def test_nulls_through_the_ways_in(way_in: WayIn, case: str) -> None:
    given, text = NULLS[case]
    seen = way_in.create(CALL, both(Reply.of_json(given)))
    assert seen.json()["choices"][0]["message"]["content"] == text
    assert isinstance(seen.value.created, int)
    for reply in (
        Reply.of_sse(wire([end(given)])),
        Reply.of_json(given),
    ):  # some servers answer so, whatever the request
        seen = way_in.stream(CALL, both(reply))
        seen.reraise()
        assert "".join(chunk.choices[0].delta.content or "" for chunk in seen.chunks) == text


def test_a_response_without_the_key_is_none() -> None:
    given = response()
    del given["output"]
    with pytest.raises(MalformedReply):
        response_to_completion(given)


# Usage

_ZEROS = {"audio_tokens": 0, "accepted_prediction_tokens": 0, "rejected_prediction_tokens": 0}
USAGES: dict[str, tuple[Any, Any]] = {
    "null": (None, None),
    "empty": ({}, None),
    "a list": ([], None),
    "nulls": ({"input_tokens": None, "output_tokens": None, "total_tokens": None}, None),
    "one null": ({"input_tokens": 3, "output_tokens": None, "total_tokens": 3}, None),
    "strings": ({"input_tokens": "3", "output_tokens": "4"}, None),
    "no total": (
        {"input_tokens": 3, "output_tokens": 4},
        {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7},
    ),
    "a null total": (
        {"input_tokens": 3, "output_tokens": 4, "total_tokens": None},
        {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7},
    ),
    "floats": (
        {"input_tokens": 3.0, "output_tokens": 4.0, "total_tokens": 7.0},
        {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7},
    ),
    "null details": (
        {
            "input_tokens": 3,
            "output_tokens": 4,
            "input_tokens_details": None,
            "output_tokens_details": None,
        },
        {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7},
    ),
    "nulls in details": (
        {
            "input_tokens": 3,
            "output_tokens": 4,
            "input_tokens_details": {"cached_tokens": None},
            "output_tokens_details": {"reasoning_tokens": None},
        },
        {
            "prompt_tokens": 3,
            "completion_tokens": 4,
            "total_tokens": 7,
            "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": 0, **_ZEROS},
        },
    ),
    "Chat's names": (
        {
            "prompt_tokens": 3,
            "completion_tokens": 4,
            "total_tokens": 7,
            "prompt_tokens_details": {"cached_tokens": 2},
            "completion_tokens_details": {"reasoning_tokens": 1},
        },
        {
            "prompt_tokens": 3,
            "completion_tokens": 4,
            "total_tokens": 7,
            "prompt_tokens_details": {"cached_tokens": 2, "audio_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": 1, **_ZEROS},
        },
    ),
    "both names, one null": (
        {"input_tokens": None, "prompt_tokens": 3, "output_tokens": 4, "completion_tokens": None},
        {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7},
    ),
    "more than Chat counts": (
        {
            "input_tokens": 3,
            "output_tokens": 4,
            "cost": 0.01,
            "is_byok": False,
            "cost_details": {"upstream": None},
            "input_tokens_details": {"cached_tokens": 1, "image_tokens": 2},
        },
        {
            "prompt_tokens": 3,
            "completion_tokens": 4,
            "total_tokens": 7,
            "prompt_tokens_details": {"cached_tokens": 1, "audio_tokens": 0, "image_tokens": 2},
            "cost": 0.01,
            "is_byok": False,
            "cost_details": {"upstream": None},
        },
    ),
}


@pytest.mark.parametrize("case", USAGES)
def test_usage(case: str) -> None:
    given, expected = USAGES[case]
    losses = [("usage", "dropped")] if given and expected is None else []
    assert whole(response(message(), usage=given)) == ("Hello", "stop", expected, losses)
    assert streamed([end(response(message(), usage=given))]) == ("Hello", "stop", expected, losses)


@pytest.mark.parametrize("case", ["empty", "nulls", "Chat's names", "more than Chat counts"])
@each_way_in
def test_usage_through_the_ways_in(way_in: WayIn, case: str) -> None:
    given, expected = USAGES[case]
    answer = response(message(), usage=given)
    seen = way_in.create(CALL, both(Reply.of_json(answer)))
    assert seen.json().get("usage") == expected
    assert (seen.value.usage is None) == (expected is None)
    seen = way_in.stream(STREAMED, both(Reply.of_sse(wire([end(answer)]))))
    seen.reraise()
    found = [chunk["usage"] for chunk in seen.chunks_json() if chunk.get("usage")]
    assert found == ([] if expected is None else [expected])


# A terminal event with fewer fields, or another name

TEXT_EVENTS: list[Json] = [
    {
        "type": "response.output_text.delta",
        "output_index": 0,
        "content_index": 0,
        "item_id": "msg_1",
        "delta": "Hello",
    },
    {
        "type": "response.output_text.done",
        "output_index": 0,
        "content_index": 0,
        "item_id": "msg_1",
        "text": "Hello",
    },
]
DONE: Json = {"type": "response.output_item.done", "output_index": 0, "item": message()}
COUNTS = {"input_tokens": 3, "output_tokens": 4, "total_tokens": 7}
COUNTED = {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}
ENDS: dict[str, tuple[list[Json], Any]] = {
    "response.done": ([*TEXT_EVENTS, DONE, end(response(message()), "done")], None),
    "another name": ([*TEXT_EVENTS, DONE, end(response(message()), "finished")], None),
    "the response without an event": (
        [*TEXT_EVENTS, DONE, response(message(), usage=COUNTS)],
        COUNTED,
    ),
    "null content": ([*TEXT_EVENTS, DONE, end(response(message() | {"content": None}))], None),
    "response.done, bare": ([*TEXT_EVENTS, DONE, {"type": "response.done"}], None),
    "bare": ([*TEXT_EVENTS, DONE, {"type": "response.completed", "sequence_number": 9}], None),
    "a null response": (
        [*TEXT_EVENTS, DONE, {"type": "response.completed", "response": None}],
        None,
    ),
    "text that is done, no item": ([*TEXT_EVENTS, {"type": "response.completed"}], None),
    "a usage beside it": (
        [*TEXT_EVENTS, DONE, {"type": "response.completed", "usage": COUNTS}],
        COUNTED,
    ),
    "the response as the event": (
        [*TEXT_EVENTS, {"type": "response.completed", "output": [message()], "usage": COUNTS}],
        COUNTED,
    ),
}


@pytest.mark.parametrize("case", ENDS)
def test_ends(case: str) -> None:
    events, usage = ENDS[case]
    assert streamed(events) == ("Hello", "stop", usage, [])


@pytest.mark.parametrize("case", ENDS)
@each_way_in
def test_ends_through_the_ways_in(way_in: WayIn, case: str) -> None:
    events, _ = ENDS[case]
    seen = way_in.stream(CALL, both(Reply.of_sse(wire(events))))
    seen.reraise()
    assert "".join(chunk.choices[0].delta.content or "" for chunk in seen.chunks) == "Hello"
    assert seen.chunks[-1].choices[0].finish_reason == "stop"


def test_a_bare_end_is_none_where_nothing_confirms_the_text() -> None:
    for events in (
        [],
        TEXT_EVENTS[:1],
        [TEXT_EVENTS[0], {**TEXT_EVENTS[0], "output_index": 1, "item_id": "msg_2"}],
    ):
        with pytest.raises(TranslationError):
            streamed([*events, {"type": "response.completed"}])


def test_a_response_under_way_ends_nothing() -> None:
    under_way = {"type": "response.snapshot", "response": response(message(), status="in_progress")}
    assert streamed([under_way, *TEXT_EVENTS, DONE, end(response(message()))])[:2] == (
        "Hello",
        "stop",
    )


def test_a_bare_incomplete_end() -> None:
    cut = {"type": "response.incomplete", "incomplete_details": {"reason": "content_filter"}}
    assert streamed([*TEXT_EVENTS, DONE, cut]) == ("Hello", "content_filter", None, [])


BROKEN_OPENINGS = (
    b'event: response.created\ndata: {"type":"response.created","response":{"id":"res\n\n',
    b'data: {"type":"response.created","response":{"id":"res\n\n',
    b'data: { "type" : "response.in_progress", "response":\n\n',
    b'data: {"sequence_number":0,"type":"response.created","response":{"id":"res\n\n',
    b"event: response.queued\ndata: \n\n",
)


@pytest.mark.parametrize(
    "opening", BROKEN_OPENINGS, ids=["named", "unnamed", "in progress", "type behind", "empty"]
)
@each_way_in
def test_openings_that_are_cut(way_in: WayIn, opening: bytes) -> None:
    rest = wire([*TEXT_EVENTS, DONE, end(response(message()))])
    seen = way_in.stream(CALL, both(Reply.of_sse([opening, *rest])))
    seen.reraise()
    assert "".join(chunk.choices[0].delta.content or "" for chunk in seen.chunks) == "Hello"


@each_way_in
def test_ends_of_an_unrequested_stream(way_in: WayIn) -> None:
    for parts in (
        [BROKEN_OPENINGS[1], *wire([*TEXT_EVENTS, DONE, end(response(message()))])],
        [BROKEN_OPENINGS[0], *wire([*TEXT_EVENTS, DONE, {"type": "response.done"}])],
        [*wire([*TEXT_EVENTS, DONE, {"type": "response.completed", "response": None}])],
        [*wire([*TEXT_EVENTS, DONE, end(response(message()), "finished")])],
        [*wire([*TEXT_EVENTS, DONE, response(message())])],
        [b"event: ping\ndata: 1 o'clock\n\n", *wire([end(response(message()))])],
    ):
        seen = way_in.create(CALL, both(Reply.of_sse(parts)))
        seen.reraise()
        assert seen.value.choices[0].message.content == "Hello"


# Cut, but with the status completed

CUTS: dict[str, tuple[Json, str]] = {
    "max_output_tokens": ({"reason": "max_output_tokens"}, "length"),
    "content_filter": ({"reason": "content_filter"}, "content_filter"),
    "another reason": ({"reason": "max_tool_calls"}, "length"),
    "no reason": ({}, "stop"),
    "a null reason": ({"reason": None}, "stop"),
}


@pytest.mark.parametrize("status", ["completed", None])
@pytest.mark.parametrize("case", CUTS)
def test_completed_with_incomplete_details(case: str, status: str | None) -> None:
    details, finish = CUTS[case]
    losses = [("incomplete_details.reason", "changed")] if case == "another reason" else []
    given = response(message(), incomplete_details=details, status=status)
    assert whole(given) == ("Hello", finish, None, losses)
    assert streamed([end(given)]) == ("Hello", finish, None, losses)


def test_an_incomplete_end_counts_before_the_status() -> None:
    cut = response(message(), incomplete_details={"reason": "max_output_tokens"})
    assert streamed([end(response(message()), "incomplete")])[1] == "length"
    assert streamed([end(cut, "incomplete")])[1] == "length"


FAILURE = {"code": "content_filter", "message": "Filtered.", "type": "invalid_request_error"}


def test_incomplete_with_an_error_for_its_reason_has_failed() -> None:
    given = response(message(), status="incomplete", error=FAILURE)
    with pytest.raises(UpstreamFailure) as raised:
        whole(given)
    assert (raised.value.status, raised.value.spoke) == (400, True)
    with pytest.raises(UpstreamFailure) as raised:
        streamed([*TEXT_EVENTS, DONE, end(given, "incomplete")])
    assert raised.value.error["code"] == "content_filter"


def test_an_error_beside_an_answer_is_a_loss() -> None:
    cut = {"reason": "max_output_tokens"}
    for given, finish in (
        (response(message(), error=FAILURE), "stop"),
        (response(message(), error=FAILURE, status="incomplete", incomplete_details=cut), "length"),
    ):
        assert (
            whole(given)
            == streamed([end(given)])
            == ("Hello", finish, None, [("error", "dropped")])
        )


@each_way_in
def test_completed_but_cut_through_the_ways_in(way_in: WayIn) -> None:
    call = {"type": "function_call", "call_id": "call_1", "name": "f", "arguments": '{"a":'}
    for items in ([message()], [call]):
        given = response(*items, incomplete_details={"reason": "max_output_tokens"})
        seen = way_in.create(CALL, both(Reply.of_json(given)))
        assert seen.json()["choices"][0]["finish_reason"] == "length"
        seen = way_in.stream(CALL, both(Reply.of_sse(wire([end(given)]))))
        assert seen.chunks_json()[-1]["choices"][0]["finish_reason"] == "length"


# Answers without text

IMAGE = {"type": "image_generation_call", "id": "ig_1", "status": "completed", "result": "aGk="}
REASONING = {"type": "reasoning", "id": "rs_1", "summary": []}
REFUSED: dict[str, tuple[list[Json], str]] = {
    "an image": ([IMAGE], "output[0]: the answer is an item of the type image_generation_call"),
    "an image behind reasoning": ([REASONING, IMAGE], "output[1]: the answer is an item of the type image_generation_call"),
    "an image beside an empty message": (
        [message() | {"content": []}, IMAGE],
        "output[1]: the answer is an item of the type image_generation_call",
    ),
    "an image in a message": (
        [message() | {"content": [{"type": "output_image", "image_url": "x"}]}],
        "output[0].content[0]: the answer is content of the type output_image",
    ),
    "what code printed": (
        [{"type": "code_interpreter_call", "id": "ci_1", "outputs": [{"type": "logs", "logs": "4"}]}],
        "output[0]: the answer is an item of the type code_interpreter_call",
    ),
    "of tomorrow": ([{"type": "hologram"}], "output[0]: the answer is an item of the type hologram"),
    "a search that waits": (
        [{"type": "tool_search_call", "call_id": "call_1", "execution": "client"}],
        "output[0]: an item of the type tool_search_call needs a client-side result",
    ),
    "a shell that waits": (
        [{"type": "shell_call", "call_id": "call_1"}],
        "output[0]: an item of the type shell_call needs a client-side result",
    ),
}  # fmt: skip
EMPTY: dict[str, list[Json]] = {
    "nothing": [],
    "reasoning": [REASONING],
    "an empty message": [message("")],
    "a search": [{"type": "web_search_call", "id": "ws_1", "status": "completed"}],
    "files that were searched": [{"type": "file_search_call", "id": "fs_1", "results": None}],
    "a tool of a server's": [
        {"type": "mcp_list_tools", "id": "m_1"},
        {"type": "mcp_call", "id": "m_2", "output": "4"},
    ],
    "code that printed nothing": [{"type": "code_interpreter_call", "id": "ci_1", "outputs": []}],
    "a search for tools": [
        {"type": "tool_search_call", "execution": "server"},
        {"type": "tool_search_output", "execution": "server"},
    ],
    "thoughts in a message": [message() | {"content": [{"type": "reasoning_text", "text": "Hm"}]}],
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_shown_is_no_empty_answer(case: str) -> None:
    items, why = REFUSED[case]
    one_by_one = [
        {"type": "response.output_item.done", "output_index": i, "item": item}
        for i, item in enumerate(items)
    ]
    with pytest.raises(UpstreamFailure) as raised:
        whole(response(*items))
    found = [raised.value]
    for events in (
        [end(response(*items))],
        [*one_by_one, end(response())],
        [*one_by_one, end(response(*items))],
    ):
        with pytest.raises(UpstreamFailure) as raised:
            streamed(events)
        found.append(raised.value)
    for one in found:
        assert one.error["message"].startswith(why)
        assert (one.status, one.error["code"], one.spoke) == (400, "unsupported_by_chat", True)


@pytest.mark.parametrize("case", EMPTY)
def test_what_is_an_empty_answer(case: str) -> None:
    """Each item that isn't shown has a ledger entry that explains it."""
    for outcome in (whole(response(*EMPTY[case])), streamed([end(response(*EMPTY[case]))])):
        assert outcome[:2] == ("", "stop")
        hidden = [item for item in EMPTY[case] if item["type"] not in ("message", "reasoning")]
        assert len(outcome[3]) == len(hidden) + (case == "thoughts in a message")


@pytest.mark.parametrize("case", ["an image", "of tomorrow", "a shell that waits"])
def test_beside_text_it_is_a_loss(case: str) -> None:
    items = [*REFUSED[case][0], message()]
    expected = ("Hello", "stop", None, [("output[0]", "dropped")])
    assert whole(response(*items)) == streamed([end(response(*items))]) == expected


def test_a_cut_one_has_its_finish_reason() -> None:
    given = response(IMAGE, status="incomplete", incomplete_details={"reason": "max_output_tokens"})
    assert whole(given)[:2] == streamed([end(given, "incomplete")])[:2] == ("", "length")


@pytest.mark.parametrize("case", ["an image", "an image in a message", "a search that waits"])
@each_way_in
def test_what_cannot_be_shown_through_the_ways_in(way_in: WayIn, case: str) -> None:
    items, why = REFUSED[case]
    seen = way_in.create(CALL, both(Reply.of_json(response(*items))))
    assert type(seen.error) is openai.BadRequestError
    assert seen.error.response.headers["x-should-retry"] == "false"
    assert why in str(seen.error)
    for parts in (
        wire([end(response(*items))]),
        wire([TEXT_EVENTS[0] | {"delta": ""}, end(response(*items))]),
    ):
        seen = way_in.stream(CALL, both(Reply.of_sse(parts)))
        assert isinstance(seen.error, openai.APIError)
        assert why in str(seen.error)
        assert seen.chunks == []


# Readable reasoning

THOUGHT = {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "Hm."}]}
LOUD = {
    "type": "reasoning",
    "id": "rs_2",
    "summary": [],
    "content": [{"type": "reasoning_text", "text": "Hm."}],
}


def test_readable_reasoning_is_a_loss() -> None:
    given = response(
        THOUGHT, LOUD, REASONING | {"id": "rs_3", "encrypted_content": "gAAA"}, message()
    )
    expected = (
        "Hello",
        "stop",
        None,
        [("output[0].summary", "dropped"), ("output[1].content", "dropped")],
    )
    assert whole(given) == streamed([end(given)]) == expected
    one_by_one = [{"type": "response.output_item.done", "output_index": i, "item": item}
                  for i, item in enumerate(given["output"])]  # fmt: skip
    assert streamed([*one_by_one, end(response())]) == expected


@each_way_in
def test_readable_reasoning_through_the_ways_in(way_in: WayIn) -> None:
    given = response(THOUGHT, message())
    assert way_in.create(CALL, both(Reply.of_json(given))).ledger == [
        ("output[0].summary", "dropped")
    ]
    assert way_in.stream(CALL, both(Reply.of_sse(wire([end(given)])))).ledger == [
        ("output[0].summary", "dropped")
    ]


# Keep-alive events

IDLE = ("keepalive", "keep_alive", "keep-alive", "ping", "pong", "heartbeat", "response.heartbeat", "response.ping",
        "response.keepalive", "response.keep_alive", "KeepAlive", "session.heart_beat")  # fmt: skip


@pytest.mark.parametrize("kind", IDLE)
def test_idle_events_are_not_counted(kind: str) -> None:
    machine = ChunksFromEvents()
    assert machine.feed({"type": kind, "sequence_number": 2}) == []
    assert machine.unknown is None


@pytest.mark.parametrize(
    "kind", ["shopping", "response.pingback", "keepalive.of.tomorrow", "response.mapping"]
)
def test_events_with_similar_names_are_counted(kind: str) -> None:
    machine = ChunksFromEvents()
    machine.feed({"type": kind})
    assert machine.unknown == {kind: 1}


NOTHING = {
    "comment": b": OPENROUTER PROCESSING\n\n",
    "comments without a blank line": b":\n:\n",
    "empty data": b"data:\n\n",
    "blank data": b"data:   \n\n",
    "an empty object": b"data: {}\n\n",
    "event without data": b"event: ping\n\n",
    "named, empty": b"event: keepalive\ndata: \n\n",
    "named, a text": b"event: ping\ndata: 12:00\n\n",
    "named, a number": b"event: heartbeat\ndata: 1780000000\n\n",
    "typed": b'event: ping\ndata: {"type":"ping"}\n\n',
    "an id": b"id: 1\nretry: 10\n\n",
}


@pytest.mark.parametrize("case", NOTHING)
@each_way_in
def test_nothing_is_no_event(way_in: WayIn, case: str) -> None:
    nothing, events = NOTHING[case], wire([*TEXT_EVENTS, DONE, end(response(message()))])
    parts = [
        nothing,
        *[piece for event in events[:-1] for piece in (event, nothing)],
        events[-1],
        nothing,
    ]
    seen = way_in.stream(CALL, both(Reply.of_sse(parts)))
    seen.reraise()
    assert "".join(chunk.choices[0].delta.content or "" for chunk in seen.chunks) == "Hello"
    assert seen.ledger == []
