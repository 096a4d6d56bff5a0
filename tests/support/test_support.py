"""The tests' own tools: each must find the fault that it is meant to find."""

from __future__ import annotations

import http.client
import json
import re
import socket
import zlib
from typing import Any

import hypothesis
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types.chat import completion_create_params as sdk

from tests.support import chunking, corpus, openapi, strategies
from tests.support.loopback import HOLD, Loopback, Reply
from tests.support.network import NetworkBlockedError
from tests.support.typeddicts import (
    keys_of,
    needs_current_types,
    problems_of_chat_body,
    problems_of_responses_body,
)

USER = {"role": "user", "content": "hi"}
OUTPUT = {
    "type": "message",
    "role": "assistant",
    "content": [{"type": "output_text", "text": "yo", "annotations": []}],
}
CALL = {"type": "function_call", "call_id": "call_1", "name": "f", "arguments": "{}"}
TOOL = {"type": "function", "name": "f", "parameters": {"type": "object"}, "strict": False}


def responses_body(*items: Any, **more: Any) -> dict[str, Any]:
    return {"model": "gpt-5", "input": list(items or [USER]), **more}


GOOD = {
    "least": responses_body(),
    "string input": {"model": "m", "input": "hi"},
    "output message without id and status": responses_body(USER, OUTPUT, USER),
    "refusal in it": responses_body(OUTPUT | {"content": [{"type": "refusal", "refusal": "no"}]}),
    "call and output": responses_body(
        CALL, {"type": "function_call_output", "call_id": "call_1", "output": ""}
    ),
    "tool": responses_body(tools=[TOOL], tool_choice={"type": "function", "name": "f"}),
    "null where it may be": responses_body(temperature=None, metadata=None, stream=False),
    "streamed": responses_body(stream=True, stream_options={"include_obfuscation": False}),
    "reasoning without id": responses_body(
        {"type": "reasoning", "summary": [], "encrypted_content": "gAAA"}
    ),
}
BAD = {
    "unknown top key": (responses_body(seed=1), "seed"),
    "wrong scalar": (responses_body(temperature="hot"), "temperature"),
    "a boolean is no number": (responses_body(top_p=True), "top_p"),
    "null where it may not be": (responses_body(USER | {"content": None}), r"input\[0\]"),
    "missing strict": (
        responses_body(tools=[{k: v for k, v in TOOL.items() if k != "strict"}]),
        r"tools\[0\]",
    ),
    "chat's tool form": (
        responses_body(tools=[{"type": "function", "function": {"name": "f"}}]),
        r"tools\[0\]",
    ),
    "unknown item type": (responses_body(USER, {"type": "nonsense"}), r"input\[1\]"),
    "unknown key deep down": (
        responses_body(USER, CALL | {"parsed_arguments": {}}),
        r"input\[1\]\.parsed_arguments",
    ),
    "role tool": (responses_body({"role": "tool", "content": "x"}), r"input\[0\]"),
    "text part of chat": (
        responses_body(USER | {"content": [{"type": "text", "text": "x"}]}),
        r"input\[0\]\.content\[0\]",
    ),
    "late element of a list": (responses_body(*[USER] * 40, {"role": "user"}), r"input\[40\]"),
    "include_usage": (
        responses_body(stream=True, stream_options={"include_usage": True}),
        "stream_options",
    ),
    "input part in an assistant message": (
        responses_body({"role": "assistant", "content": [{"type": "input_text", "text": "x"}]}),
        r"input\[0\]\.content\[0\]",
    ),
    "chat's id in an item": (responses_body(CALL | {"id": "call_1"}), r"input\[0\]\.id"),
    "long call id": (responses_body(CALL | {"call_id": "c" * 65}), r"input\[0\]\.call_id"),
    "too few tokens": (responses_body(max_output_tokens=5), "max_output_tokens"),
    "reasoning with nothing in it": (
        responses_body({"type": "reasoning", "summary": []}),
        r"input\[0\]",
    ),
}
CHECKERS = [
    pytest.param(problems_of_responses_body, id="typeddicts", marks=needs_current_types),
    pytest.param(openapi.problems_of_openapi_body, id="openapi", marks=openapi.needs_document),
]


@pytest.mark.parametrize("check", CHECKERS)
@pytest.mark.parametrize("body", [pytest.param(body, id=name) for name, body in GOOD.items()])
def test_good_bodies_pass(check: Any, body: dict[str, Any]) -> None:
    assert check(body) == []


@pytest.mark.parametrize("check", CHECKERS)
@pytest.mark.parametrize(
    ("body", "where"), [pytest.param(*case, id=name) for name, case in BAD.items()]
)
def test_each_fault_is_found_where_it_is(check: Any, body: dict[str, Any], where: str) -> None:
    problems = check(body)
    assert problems
    assert all(re.match(where, problem) for problem in problems), problems


@openapi.needs_document
def test_what_the_sdk_knows_and_the_document_does_not_is_allowed() -> None:
    newer = {"image": None, "prompt_cache_options": {"ttl": "12h", "prewarm": True}}
    body = responses_body({"type": "configuration_update"}, tools=[TOOL | {"async": True}], **newer)
    assert openapi.problems_of_openapi_body(body) == []
    assert openapi.problems_of_openapi_body(body | {"prompt_cache_options": {"ttl": "13h"}}) != []


@needs_current_types
def test_a_problem_inside_one_member_of_a_union_names_that_member() -> None:
    assert problems_of_responses_body(responses_body(CALL | {"arguments": {}})) == [
        "input[0].arguments: expected string, not {}"
    ]


def test_chat_bodies_are_checked_too() -> None:
    assert problems_of_chat_body({"model": "m", "messages": [USER]}) == []
    assert problems_of_chat_body({"messages": [USER | {"name": 3}], "stream": True, "typo": 1}) == [
        "$: CompletionCreateParamsStreaming lacks 'model'",
        "messages[0].name: expected string, not 3",
        "typo: unknown key of CompletionCreateParamsStreaming",
    ]


# Departures from the types that the real service accepted nevertheless. More than these would be a
# fault of the validators.
TAKEN_ANYWAY = re.compile(
    r"lacks 'strict'|lacks 'detail'|has type 'output_text'|ImageGen\w+ lacks|\.sources: expected array, not None"
    r"|\.status: expected .*, not None|Tool\w*Param lacks|messages\[\d+\]\.(name|annotations): unknown key"
    r"|FunctionDefinition|tools: expected array, not None"
)


@corpus.needs_corpus
@pytest.mark.parametrize(("api", "check"), [
    pytest.param("chat", problems_of_chat_body, id="chat-typeddicts", marks=needs_current_types),
    pytest.param("responses", problems_of_responses_body, id="responses-typeddicts", marks=needs_current_types),
    pytest.param(
        "responses", openapi.problems_of_openapi_body, id="responses-openapi", marks=openapi.needs_document
    ),
])  # fmt: skip
def test_real_accepted_requests_pass(api: str, check: Any) -> None:
    bodies = [
        (one.id, body) for one, body in corpus.accepted_bodies(api) if one.host == "api.openai.com"
    ]
    assert len(bodies) > 500
    wrong = {number: check(body) for number, body in bodies}
    assert sum(not problems for problems in wrong.values()) > 0.9 * len(bodies)
    new = [
        (number, p)
        for number, problems in wrong.items()
        for p in problems
        if not TAKEN_ANYWAY.search(p)
    ]
    assert new == []


@corpus.needs_corpus
def test_recordings_are_read_and_written_as_streams() -> None:
    assert len(corpus.recordings()) > 2000
    assert all(
        pair.chat.api == "chat" and pair.responses.api == "responses" for pair in corpus.pairs()
    )
    streamed = corpus.select(api="responses", stream=True, host="api.openai.com")
    assert len(streamed) > 100
    first = streamed[0]
    assert first.sse is not None
    blocks = chunking.per_event(corpus.sse_bytes(first))
    assert [json.loads(block.split(b"data: ", 1)[1]) for block in blocks] == [
        data for _, data in first.sse
    ]
    assert blocks == corpus.sse_events(first)


# --- cutting --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", chunking.CUTS)
@given(
    data=st.lists(
        st.sampled_from([b"data: 1", b"\n\n", b"\r\n\r\n", b"\n", "é".encode(), b"x" * 200])
    ).map(b"".join)
)
def test_cuts_lose_nothing(name: str, data: bytes) -> None:
    pieces = chunking.CUTS[name](data)
    assert b"".join(pieces) == data
    assert all(pieces)


def test_cuts_are_where_they_should_be() -> None:
    data = b"event: a\ndata: 1\n\ndata: 2\r\n\r\ndata: 3"
    assert chunking.per_event(data) == [b"event: a\ndata: 1\n\n", b"data: 2\r\n\r\n", b"data: 3"]
    assert chunking.truncations(data) == [
        b"",
        b"event: a\ndata: 1\n\n",
        b"event: a\ndata: 1\n\ndata: 2\r\n\r\n",
    ]
    assert [len(piece) for piece in chunking.every(97)(b"x" * 200)] == [97, 97, 6]


# --- the loopback server --------------------------------------------------------------------------


def connect(server: Loopback) -> http.client.HTTPConnection:
    return http.client.HTTPConnection("127.0.0.1", server.port, timeout=5)


def test_server_remembers_and_keeps_the_connection(loopback: Loopback) -> None:
    loopback.answer = lambda request: Reply.of_json({"path": request.path, "body": request.json()})
    client = connect(loopback)
    for number in range(2):
        client.request(
            "POST", f"/v1/x?n={number}", body=b'{"a":1}', headers={"X-B": "1", "X-A": "2"}
        )
        assert json.loads(client.getresponse().read()) == {"path": "/v1/x", "body": {"a": 1}}
    client.close()
    assert loopback.connections == 1
    assert [request.query for request in loopback.requests] == ["n=0", "n=1"]
    assert [pair for pair in loopback.requests[0].headers if pair[0].startswith("X-")] == [
        ("X-B", "1"),
        ("X-A", "2"),
    ]
    assert loopback.wait_for(lambda server: server.open_connections == 0)


def test_server_streams_part_by_part_and_sees_the_client_go(loopback: Loopback) -> None:
    loopback.answer = [Reply.of_sse([b"data: 1\n\n", b"data: 2\n\n", HOLD])]
    client = connect(loopback)
    client.request("GET", "/")
    reply = client.getresponse()
    assert reply.read(9) == b"data: 1\n\n"
    assert reply.read(9) == b"data: 2\n\n"
    assert loopback.open_connections == 1
    reply.close()
    client.close()
    assert loopback.wait_for(lambda server: server.open_connections == 0)


def test_server_compresses(loopback: Loopback) -> None:
    loopback.answer = [Reply.of_sse([b"one", b"two"], gzip=True), Reply.of_json([1], gzip=True)]
    client = connect(loopback)
    for expected in (b"onetwo", b"[1]"):
        client.request("GET", "/")
        reply = client.getresponse()
        assert reply.headers["content-encoding"] == "gzip"
        assert zlib.decompress(reply.read(), wbits=31) == expected
    client.close()


def test_server_redirects(loopback: Loopback) -> None:
    loopback.answer = [Reply.redirect("/elsewhere")]
    client = connect(loopback)
    client.request("GET", "/")
    reply = client.getresponse()
    assert (reply.status, reply.headers["location"], reply.read()) == (307, "/elsewhere", b"")
    client.close()


@pytest.mark.parametrize("reply", [
    pytest.param(Reply(parts=[b"half"], ending="close"), id="length"),
    pytest.param(Reply.of_sse([b"half"], ending="close"), id="chunked"),
    pytest.param(Reply.of_sse([b"half"], ending="reset"), id="reset"),
    pytest.param(Reply.drop(), id="no word"),
    pytest.param(Reply.drop("reset"), id="no word, reset"),
])  # fmt: skip
def test_a_dropped_connection_shows(loopback: Loopback, reply: Reply) -> None:
    loopback.answer = [reply]
    client = connect(loopback)
    client.request("GET", "/")
    with pytest.raises((http.client.HTTPException, ConnectionError)):
        client.getresponse().read()
    client.close()


def test_a_failing_script_fails_the_test() -> None:
    server = Loopback([])
    client = connect(server)
    client.request("GET", "/")
    assert client.getresponse().status == 500
    client.close()
    with pytest.raises(AssertionError, match="no reply is left for GET /"), server:
        pass


def test_only_the_loopback_can_be_reached() -> None:
    with pytest.raises(NetworkBlockedError):
        socket.create_connection(("192.0.2.1", 80), timeout=0.01)
    with pytest.raises(NetworkBlockedError):
        socket.getaddrinfo("example.com", 80)


# --- strategies -----------------------------------------------------------------------------------


def test_every_parameter_of_the_sdk_is_drawn() -> None:
    known = keys_of(sdk.CompletionCreateParamsStreaming) | keys_of(
        sdk.CompletionCreateParamsNonStreaming
    )
    assert known <= strategies.PARAMETERS.keys()
    seen: set[str] = set()
    nulls: set[str] = set()

    @hypothesis.settings(
        max_examples=300, database=None, derandomize=True, phases=[hypothesis.Phase.generate]
    )
    @given(strategies.chat_requests(most=20))
    def draw(body: dict[str, Any]) -> None:
        seen.update(body)
        nulls.update(key for key, value in body.items() if value is None)

    draw()
    assert seen == known
    assert len(nulls) >= 10


def test_an_unknown_parameter_of_the_sdk_raises(monkeypatch: pytest.MonkeyPatch) -> None:
    strategies.parameters.cache_clear()
    monkeypatch.delitem(strategies.PARAMETERS, "seed")
    with pytest.raises(LookupError, match="'seed'"):
        strategies.parameters()


@given(strategies.chat_requests())
def test_drawn_requests_fit_the_sdk(body: dict[str, Any]) -> None:
    assert (
        problems_of_chat_body(
            {key: value for key, value in body.items() if (key, value) != ("stream", None)}
        )
        == []
    )
    assert json.loads(json.dumps(body)) == body
    json.dumps(body, ensure_ascii=False).encode()


@given(st.data())
def test_conversations_answer_every_call_and_grow_at_the_end(data: st.DataObject) -> None:
    messages = data.draw(strategies.conversations())
    longer = data.draw(strategies.extend(messages))
    assert longer[: len(messages)] == messages
    assert len(longer) > len(messages)
    asked = [call["id"] for message in longer for call in message.get("tool_calls") or ()]
    answered = [message["tool_call_id"] for message in longer if message["role"] == "tool"]
    assert len(asked) == len(set(asked))
    assert sorted(asked) == sorted(answered)
    assert longer[-1]["role"] in {"user", "tool", "function"}
