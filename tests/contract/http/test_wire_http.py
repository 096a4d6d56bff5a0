"""HTTP of translated calls: headers, paths, compression, timeouts, retries, hooks."""

from __future__ import annotations

import json
import threading
from typing import Any

import openai
import pytest

import adapter
from tests.support.answers import (
    CALL,
    CHAT,
    RESPONSES,
    Sdk,
    both,
    completion,
    error,
    events,
    hanging,
    impatient,
    paths,
    response,
    sdk,
    text_of,
)
from tests.support.http import STREAM_TIMEOUT, http, needs_raw_posts
from tests.support.loopback import HOLD, Loopback, Reply, Request

__all__ = ["impatient", "sdk"]

HEADER = "x-adapter-backend"
LENGTHS = {"content-length", "transfer-encoding"}


def expected_body(**more: Any) -> dict[str, Any]:
    return {"store": False, "model": "gpt-4o", "input": CALL["messages"], **more}


# Requests


def test_headers_are_copied_without_the_lengths(sdk: Sdk, loopback: Loopback) -> None:
    loopback.answer = both
    more = {"extra_headers": {"X-Mine": "a", "OpenAI-Beta": "b"}}
    options = {"organization": "org-x", "project": "proj-x", "default_headers": {"X-Default": "c"}}
    sdk.create(sdk.client(loopback, plain=True, **options), **more)
    sdk.create(sdk.client(loopback, **options), **more)
    native, adapted_request = loopback.requests

    def kept(request: Request) -> list[tuple[str, str]]:
        return [(name, value) for name, value in request.headers if name.lower() not in LENGTHS]

    assert kept(adapted_request) == kept(native)
    assert [
        value for name, value in adapted_request.headers if name.lower() == "content-length"
    ] == [str(len(adapted_request.body))]
    assert adapted_request.header("transfer-encoding") is None
    assert adapted_request.json() == expected_body()


BASES = {
    "plain": ("/v1", "/v1"),
    "slash": ("/v1/", "/v1"),
    "deep": ("/gateway/eu/v1", "/gateway/eu/v1"),
    "escaped": ("/a%20b/%C3%A9%2Fx/v1", "/a%20b/%C3%A9%2Fx/v1"),
    "root": ("", ""),
    "names in the path": ("/chat/completions/v1", "/chat/completions/v1"),
}


@pytest.mark.parametrize("base", BASES)
def test_only_the_end_of_the_path_changes(sdk: Sdk, loopback: Loopback, base: str) -> None:
    loopback.answer = both
    given, kept = BASES[base]
    query = {"default_query": {"api-version": "1"}}
    more = {"extra_query": {"q": "a b/ü", "list": ["x", "y"]}}
    sdk.create(sdk.client(loopback.url + given, plain=True, **query), **more)
    assert text_of(sdk.create(sdk.client(loopback.url + given, **query), **more)) == "Hello there"
    native, adapted_request = loopback.requests
    assert (native.path, adapted_request.path) == (f"{kept}/chat/completions", f"{kept}/responses")
    assert adapted_request.query == native.query
    assert "api-version=1" in adapted_request.query


def test_extra_body_is_part_of_the_call(sdk: Sdk, loopback: Loopback) -> None:
    loopback.answer = both
    sdk.create(sdk.client(loopback), extra_body={"temperature": 0.25, "own_key": {"ü": [1]}})
    assert loopback.requests[0].json() == expected_body(temperature=0.25, own_key={"ü": [1]})


def test_the_same_call_leaves_the_same_bytes(sdk: Sdk, loopback: Loopback) -> None:
    loopback.answer = both
    client = sdk.client(loopback)
    for _ in range(2):
        sdk.create(client)
    first, second = loopback.requests
    assert first.body == second.body
    assert first.headers == second.headers


@needs_raw_posts
def test_streaming_request_bodies_are_read(sdk: Sdk, loopback: Loopback) -> None:
    loopback.answer = both
    body = json.dumps(CALL).encode()

    def pieces() -> Any:
        yield body[:10]
        yield body[10:]

    async def apieces() -> Any:
        for piece in pieces():
            yield piece

    client = sdk.client(loopback)
    got = sdk.run(
        client.post("/chat/completions", cast_to=object, content=sdk.pick(pieces, apieces)())
    )
    assert got["choices"][0]["message"]["content"] == "Hello there"
    (request,) = loopback.requests
    assert (request.path, request.json()) == (RESPONSES, expected_body())
    assert request.header("content-length") == str(len(request.body))


# Replies


@pytest.mark.parametrize("framing", ["length", "chunked", "close"])
@pytest.mark.parametrize("gzip", [False, True], ids=["plain", "gzip"])
def test_whole_replies(sdk: Sdk, loopback: Loopback, gzip: bool, framing: Any) -> None:
    loopback.answer = [
        Reply.of_json(
            response(), gzip=gzip, framing=framing, headers=(("x-mine", "1"), ("x-mine", "2"))
        )
    ]
    got = sdk.run(sdk.client(loopback).chat.completions.with_raw_response.create(**CALL))
    http = got.http_response
    assert text_of(got.parse()) == "Hello there"
    assert http.headers.get_list("x-mine") == ["1", "2"]
    assert http.headers[HEADER] == "responses"
    assert http.headers["content-type"] == "application/json"
    assert "content-encoding" not in http.headers
    assert "transfer-encoding" not in http.headers
    assert http.headers.get_list("content-length") == [str(len(http.content))]
    assert (http.http_version, http.reason_phrase) == ("HTTP/1.1", "OK")


@pytest.mark.parametrize("framing", ["length", "chunked", "close"])
@pytest.mark.parametrize("gzip", [False, True], ids=["plain", "gzip"])
def test_streamed_replies(sdk: Sdk, loopback: Loopback, gzip: bool, framing: Any) -> None:
    loopback.answer = [Reply.of_sse(events(), gzip=gzip, framing=framing)]
    stream = sdk.create(sdk.client(loopback), stream=True)
    assert text_of(sdk.list(stream)) == "Hello there"
    assert "content-encoding" not in stream.response.headers
    assert "content-length" not in stream.response.headers
    assert stream.response.headers["content-type"].startswith("text/event-stream")
    assert stream.response.headers[HEADER] == "responses"


def test_an_error_in_gzip(sdk: Sdk, loopback: Loopback) -> None:
    body = {
        "error": {
            "message": "no",
            "type": "invalid_request_error",
            "param": "input[0].content",
            "code": None,
        }
    }
    loopback.answer = [Reply.of_json(body, 400, gzip=True)]
    with pytest.raises(openai.BadRequestError) as raised:
        sdk.create(sdk.client(loopback))
    assert raised.value.param == "messages[0].content"
    assert raised.value.response.json()["error"]["message"] == "no"


def test_request_ids(sdk: Sdk, loopback: Loopback) -> None:
    loopback.answer = [
        Reply.of_json(response(), headers=(("X-Request-Id", "req_1"),)),
        error(401, headers=(("x-request-id", "req_2"),)),
    ]
    client = sdk.client(loopback)
    assert sdk.create(client)._request_id == "req_1"
    with pytest.raises(openai.AuthenticationError) as raised:
        sdk.create(client)
    assert raised.value.request_id == "req_2"


def test_strict_validation_accepts_translated_replies(sdk: Sdk, loopback: Loopback) -> None:
    loopback.answer = both
    client = sdk.client(loopback, _strict_response_validation=True)
    assert text_of(sdk.create(client)) == "Hello there"
    assert text_of(sdk.stream(client)) == "Hello there"


def test_the_url_hooks_and_cookies_of_the_client(sdk: Sdk, loopback: Loopback) -> None:
    loopback.answer = [
        Reply.of_json(response(), headers=(("set-cookie", "a=b; Path=/"),)),
        Reply.of_json(response()),
    ]
    seen: list[Any] = []

    def saw(thing: Any) -> None:
        if isinstance(thing, http.Response):
            thing.read()
            seen.append((thing.status_code, thing.json()["object"], str(thing.request.url)))
        else:
            seen.append(str(thing.url))

    async def asaw(thing: Any) -> None:
        if isinstance(thing, http.Response):
            await thing.aread()
        saw(thing)

    hook = sdk.pick(saw, asaw)
    client = sdk.client(loopback)
    client._client.event_hooks = {"request": [hook], "response": [hook]}
    got = sdk.run(client.chat.completions.with_raw_response.create(**CALL))
    chat = f"{loopback.base_url}/chat/completions"
    assert seen == [chat, (200, "chat.completion", chat)]
    assert str(got.http_response.request.url) == str(got.url) == chat
    assert json.loads(got.http_request.content) == CALL
    assert got.elapsed.total_seconds() > 0
    sdk.create(client)
    assert [request.header("cookie") for request in loopback.requests] == [None, "a=b"]


# Timeouts


def test_a_reply_that_never_comes_times_out(sdk: Sdk, loopback: Loopback) -> None:
    over = threading.Event()

    def silent(request: Request) -> Reply:
        over.wait(10)
        return Reply.drop()

    loopback.answer = silent
    try:
        with pytest.raises(openai.APITimeoutError) as raised:
            sdk.create(sdk.client(loopback, timeout=0.5))
    finally:
        over.set()
    assert str(raised.value.request.url).endswith(CHAT)


SILENCES = {
    "after the head": [],
    "after two events": events()[:2],
    "after the first text": events()[:5],
}


@pytest.mark.parametrize("sent", SILENCES)
def test_a_stream_that_falls_silent_times_out_while_it_is_read(
    sdk: Sdk, loopback: Loopback, sent: str
) -> None:
    loopback.answer = [hanging(SILENCES[sent])]
    stream = sdk.create(
        sdk.client(loopback, timeout=0.5), stream=True
    )  # Chat's own head would have arrived by now
    with pytest.raises(STREAM_TIMEOUT):
        sdk.list(stream)
    assert loopback.wait_for(lambda server: server.open_connections == 0)
    assert len(loopback.requests) == 1


def test_a_body_that_falls_silent_times_out(sdk: Sdk, loopback: Loopback) -> None:
    body = json.dumps(response()).encode()
    head = (("content-type", "application/json"),)
    loopback.answer = [Reply(200, head, [body[:20], HOLD], framing="chunked")]
    with pytest.raises(openai.APITimeoutError):
        sdk.create(sdk.client(loopback, timeout=0.5))
    assert loopback.wait_for(lambda server: server.open_connections == 0)


def test_extensions_are_passed_on(sdk: Sdk, loopback: Loopback) -> None:
    loopback.answer = both
    traced: list[str] = []
    outer: list[Any] = []

    def trace(name: str, info: Any) -> None:
        traced.append(name)

    async def atrace(name: str, info: Any) -> None:
        traced.append(name)

    def hook(request: Any) -> None:
        request.extensions["trace"] = sdk.pick(trace, atrace)
        outer.append(request.extensions)

    async def ahook(request: Any) -> None:
        hook(request)

    client = sdk.client(loopback)
    client._client.event_hooks = {"request": [sdk.pick(hook, ahook)]}
    sdk.create(client)
    assert any("send_request_headers" in name for name in traced)
    assert any("receive_response_body" in name for name in traced)


# Retries

TRIES = {
    "429": error(429, headers=(("retry-after-ms", "1"),)),
    "500": error(500),
    "x-should-retry": error(400, headers=(("x-should-retry", "true"), ("retry-after-ms", "1"))),
    "dropped": Reply.drop(),
    "reset": Reply.drop("reset"),
    "cut": Reply.of_json(response(), ending="close"),
}


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("streamed", [False, True], ids=["create", "stream"])
@pytest.mark.parametrize("first", TRIES)
def test_each_try_is_translated(sdk: Sdk, loopback: Loopback, first: str, streamed: bool) -> None:
    loopback.answer = [
        TRIES[first],
        TRIES[first],
        Reply.of_sse(events()) if streamed else Reply.of_json(response()),
    ]
    client = sdk.client(loopback, max_retries=2)
    result = sdk.stream(client) if streamed else sdk.create(client)
    assert text_of(result) == "Hello there"
    assert paths(loopback) == [RESPONSES] * 3
    assert len({request.body for request in loopback.requests}) == 1
    assert [request.header("x-stainless-retry-count") for request in loopback.requests] == [
        "0",
        "1",
        "2",
    ]


@pytest.mark.usefixtures("impatient")
def test_x_should_retry_false_is_obeyed(sdk: Sdk, loopback: Loopback) -> None:
    loopback.answer = [error(500, headers=(("x-should-retry", "false"),))]
    with pytest.raises(openai.InternalServerError):
        sdk.create(sdk.client(loopback, max_retries=2))
    assert len(loopback.requests) == 1


@pytest.mark.usefixtures("impatient")
def test_a_try_keeps_the_settings_that_the_call_started_with(sdk: Sdk, loopback: Loopback) -> None:
    client = sdk.client(loopback, max_retries=1)

    def answer(request: Request) -> Reply:
        if len(loopback.requests) == 1:
            adapter.install(client, adapter.Settings(backend="chat"))
            return error(500)
        return both(request)

    loopback.answer = answer
    sdk.create(client)
    sdk.create(client)
    assert paths(loopback) == [RESPONSES, RESPONSES, CHAT]


def test_completions_of_other_shapes_pass_when_the_transport_is_used_alone(
    loopback: Loopback,
) -> None:
    loopback.answer = both
    settings = adapter.Settings(backend="responses")
    with http.Client(
        transport=adapter.Transport(settings=settings), base_url=loopback.base_url
    ) as http_client:
        got = http_client.post("/chat/completions", json=CALL)
        assert got.json()["choices"][0]["message"]["content"] == "Hello there"
        assert got.headers[HEADER] == "responses"
        with http_client.stream(
            "POST", "/chat/completions", json=CALL | {"stream": True}
        ) as streamed:
            lines = [line for line in streamed.iter_lines() if line]
        assert lines[-1] == "data: [DONE]"
        assert all(line.startswith("data: ") for line in lines)
        kept = http_client.post("/chat/completions", json=CALL, headers={HEADER: "chat"})
        assert kept.json() == completion()
    assert paths(loopback) == [RESPONSES, RESPONSES, CHAT]
