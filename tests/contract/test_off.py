"""Off means off: routed to Chat, requests and replies are the same bytes as without the adapter."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import openai
import pytest
from pydantic import BaseModel

import adapter
from tests.support.answers import (
    CALL,
    CHAT,
    KEY,
    Sdk,
    Settings,
    both,
    chat_events,
    completion,
    error,
    paths,
    same_request,
    sdk,
)
from tests.support.http import helpers_of, http, lacking
from tests.support.loopback import Loopback, Reply, Request

__all__ = ["sdk"]

HEADER = "x-adapter-backend"
CHOOSE_CHAT = {"extra_headers": {HEADER: "chat"}}


class Person(BaseModel):
    name: str


def parse(one: Sdk, client: Any, **more: Any) -> Any:
    return one.run(helpers_of(client).parse(**CALL, response_format=Person, **more))


def helper(one: Sdk, client: Any, **more: Any) -> Any:
    manager = helpers_of(client).stream(**CALL, **more)
    return one.inside(manager, lambda stream: stream.get_final_completion())


def raw(one: Sdk, client: Any, **more: Any) -> Any:
    return one.run(client.chat.completions.with_raw_response.create(**CALL, **more)).http_response


def streaming_raw(one: Sdk, client: Any, **more: Any) -> Any:
    manager = client.chat.completions.with_streaming_response.create(**CALL, stream=True, **more)
    return one.inside(manager, lambda reply: reply.read())


TOOL = {
    "type": "function",
    "function": {"name": "f", "parameters": {"type": "object", "properties": {}}},
}
EVERYTHING = {
    "n": 2, "stop": ["a"], "seed": 7, "logit_bias": {"1": 2}, "tools": [TOOL],
    "tool_choice": "auto", "temperature": 0.5,
    "extra_query": {"q": "a b"}, "extra_headers": {"X-Mine": "yes"},
    "extra_body": {"mine": {"ünï": "😀"}},
}  # fmt: skip
CALLS: dict[str, Callable[..., Any]] = {
    "create": lambda one, client, **more: one.create(client, **more),
    "create with everything": lambda one, client, **more: one.create(
        client, **{**EVERYTHING, **more}
    ),
    "stream": lambda one, client, **more: one.stream(client, **more),
    "parse": parse,
    "stream helper": helper,
    "raw": raw,
    "streaming raw": streaming_raw,
}
CHOICES = {
    "nothing set": (None, {}),
    "backend=chat": (Settings(backend="chat"), {}),
    "header over settings": (Settings(backend="responses"), CHOOSE_CHAT),
    "policy error": (Settings(unsupported="error", drop=("seed",)), {}),
}


def answer(request: Request) -> Reply:
    body = request.json()
    if "response_format" in body:
        return Reply.of_json(completion('{"name":"Ann"}'))
    return both(request)


@pytest.mark.parametrize("choice", CHOICES)
@pytest.mark.parametrize("call", CALLS)
def test_the_same_bytes_leave(sdk: Sdk, loopback: Loopback, call: str, choice: str) -> None:
    loopback.answer = answer
    settings, more = CHOICES[choice]
    CALLS[call](sdk, sdk.client(loopback, plain=True))
    if call == "create with everything" and more:
        more = {"extra_headers": {**EVERYTHING["extra_headers"], **more["extra_headers"]}}
    CALLS[call](sdk, sdk.client(loopback, settings), **more)
    native, adapted_request = loopback.requests
    assert same_request(native, adapted_request)


@pytest.mark.parametrize("call", ["create", "stream"])
def test_use_chat_over_responses_settings(sdk: Sdk, loopback: Loopback, call: str) -> None:
    loopback.answer = answer
    CALLS[call](sdk, sdk.client(loopback, plain=True))
    with adapter.use(backend="chat"):
        CALLS[call](sdk, sdk.client(loopback, "responses"))
    assert same_request(*loopback.requests)


REPLIES = {
    "json": Reply.of_json(
        completion(), headers=(("X-Request-ID", "req_1"), ("x-mine", "1"), ("x-mine", "2"))
    ),
    "gzip": Reply.of_json(completion(), gzip=True),
    "chunked": Reply.of_json(completion(), framing="chunked"),
    "close": Reply.of_json(completion(), framing="close"),
    "html": Reply(200, (("content-type", "text/html"),), [b"<html>login</html>"]),
    "no content type": Reply(200, (), [b"{}"]),
    "empty": Reply(200, (("content-type", "application/json"),), [b""]),
    "400": error(400, param="messages[0].content"),
    "429": error(429, "rate_limit_exceeded", headers=(("retry-after-ms", "1"),)),
    "502 html": Reply(502, (("content-type", "text/html"),), [b"<html>bad gateway</html>"]),
    "cut": Reply.of_json(completion(), ending="close"),
    "dropped": Reply.drop(),
}


def outcome(one: Sdk, client: Any) -> Any:
    """Return everything that the caller can see of a reply."""
    try:
        got = one.run(client.chat.completions.with_raw_response.create(**CALL))
    except openai.APIStatusError as raised:
        got = raised.response
        return type(raised), str(raised), raised.body, got.headers.raw, got.content
    except openai.APIError as raised:
        return type(raised), str(raised), repr(raised.__cause__)
    http = got.http_response
    known = sorted(key for key in http.extensions if key != "network_stream")
    return (
        http.status_code,
        http.headers.raw,
        http.content,
        http.http_version,
        http.reason_phrase,
        known,
    )


@pytest.mark.parametrize("reply", REPLIES)
def test_replies_come_back_untouched(sdk: Sdk, loopback: Loopback, reply: str) -> None:
    loopback.answer = [REPLIES[reply], REPLIES[reply]]
    expected = outcome(sdk, sdk.client(loopback, plain=True))
    assert outcome(sdk, sdk.client(loopback, None)) == expected
    assert HEADER not in repr(expected)


STREAMS = {
    "plain": Reply.of_sse(chat_events()),
    "gzip": Reply.of_sse(chat_events(), gzip=True),
    "truncated": Reply.of_sse(chat_events()[:2], framing="close"),
    "with junk": Reply.of_sse(
        [
            b": keepalive\r\n\r\n",
            b"data: nonsense\r\r",
            b"event: x\n\n",
            *chat_events(),
            b"data: more\n\n",
        ]
    ),
    "responses events": Reply.of_sse([b'data: {"type":"response.completed","response":{}}\n\n']),
}


def stream_bytes(one: Sdk, client: Any) -> Any:
    manager = client.chat.completions.with_streaming_response.create(**CALL, stream=True)

    def read(reply: Any) -> Any:
        http = reply.http_response
        if one.mode == "sync":
            return reply.headers.raw, list(http.iter_raw())

        async def aread() -> Any:
            return reply.headers.raw, [piece async for piece in http.aiter_raw()]

        return aread()

    headers, pieces = one.inside(manager, read)
    return headers, b"".join(pieces)


@pytest.mark.parametrize("reply", STREAMS)
def test_stream_bytes_come_back_untouched(sdk: Sdk, loopback: Loopback, reply: str) -> None:
    loopback.answer = [STREAMS[reply], STREAMS[reply]]
    expected = stream_bytes(sdk, sdk.client(loopback, plain=True))
    assert stream_bytes(sdk, sdk.client(loopback, None)) == expected


def test_redirects_are_followed_as_before(sdk: Sdk, loopback: Loopback) -> None:
    def redirecting(request: Request) -> Reply:
        return Reply.redirect("/other") if request.path == CHAT else Reply.of_json(completion())

    loopback.answer = redirecting
    sdk.create(sdk.client(loopback, plain=True))
    sdk.create(sdk.client(loopback, None))
    first, second, third, fourth = loopback.requests
    assert same_request(first, third)
    assert same_request(second, fourth)


def test_retries_are_the_same(sdk: Sdk, loopback: Loopback) -> None:
    wait = error(429, headers=(("retry-after-ms", "1"),))
    loopback.answer = [wait, REPLIES["json"], wait, REPLIES["json"]]
    sdk.create(sdk.client(loopback, plain=True, max_retries=1))
    sdk.create(sdk.client(loopback, None, max_retries=1))
    first, second, third, fourth = loopback.requests
    assert same_request(first, third)
    assert same_request(second, fourth)


# The header

EMBEDDINGS = {
    "object": "list",
    "model": "e",
    "data": [{"object": "embedding", "index": 0, "embedding": [0.5]}],
}


@pytest.mark.parametrize("where", ["extra_headers", "default_headers"])
@pytest.mark.parametrize("backend", ["chat", "responses"])
@pytest.mark.parametrize("settings", ["chat", "responses"])
def test_the_header_chooses_and_is_never_sent_on(
    sdk: Sdk, loopback: Loopback, settings: str, backend: str, where: str
) -> None:
    loopback.answer = both
    name = {HEADER.title(): backend}
    if where == "default_headers":
        sdk.create(sdk.client(loopback, settings, default_headers=name))
    else:
        sdk.create(sdk.client(loopback, settings), extra_headers=name)
    (request,) = loopback.requests
    assert request.path.endswith("/chat/completions" if backend == "chat" else "/responses")
    assert request.header(HEADER) is None


def test_the_header_is_not_sent_on_by_other_endpoints(sdk: Sdk, loopback: Loopback) -> None:
    loopback.answer = lambda request: Reply.of_json(EMBEDDINGS)
    client = sdk.client(loopback, default_headers={HEADER: "responses"})
    sdk.run(client.embeddings.create(model="e", input="x", encoding_format="float"))
    assert loopback.requests[0].header(HEADER) is None


def test_the_header_stays_in_the_callers_request(sdk: Sdk, loopback: Loopback) -> None:
    loopback.answer = both
    got = sdk.run(
        sdk.client(loopback, "responses").chat.completions.with_raw_response.create(
            **CALL, **CHOOSE_CHAT
        )
    )
    assert got.http_response.request.headers[HEADER] == "chat"


# Others


def test_a_plain_client_that_shares_the_http_client_is_untouched(
    sdk: Sdk, loopback: Loopback
) -> None:
    loopback.answer = both
    alone = sdk.client(loopback, plain=True)
    adapted = sdk.client(loopback, "responses")
    sharing = sdk.client(loopback, plain=True, http_client=adapted._client)
    sdk.create(alone)
    sdk.create(sharing)
    sdk.create(adapted)
    native, adapted_request, moved = loopback.requests
    assert same_request(native, adapted_request)
    assert moved.path == "/v1/responses"
    assert not hasattr(sharing, "_adapter_settings")


def test_chat_and_responses_clients_share_an_http_client(sdk: Sdk, loopback: Loopback) -> None:
    loopback.answer = both
    one = sdk.client(loopback, "responses")
    other = sdk.client(loopback, "chat", http_client=one._client)
    for client in (one, other, one):
        sdk.create(client)
    assert paths(loopback) == ["/v1/responses", CHAT, "/v1/responses"]


def _list(call: Callable[[Any], Any]) -> Callable[[Sdk, Any], Any]:
    """Read a page in either mode."""

    def go(one: Sdk, client: Any) -> Any:
        made = call(client)
        if one.mode == "sync":
            return made

        async def page() -> Any:
            return await made

        return one.run(page())

    return go


OTHERS: dict[str, Callable[[Sdk, Any], Any]] = {
    "models.list": _list(lambda c: c.models.list()),
    "models.retrieve": lambda one, c: one.run(c.models.retrieve("m")),
    "embeddings": lambda one, c: one.run(c.embeddings.create(model="e", input="x")),
    "completions": lambda one, c: one.run(c.completions.create(model="m", prompt="x")),
    "responses.create": lambda one, c: one.run(c.responses.create(model="m", input="x")),
    "responses stream": lambda one, c: one.list(
        one.run(c.responses.create(model="m", input="x", stream=True))
    ),
    "responses.retrieve": lambda one, c: one.run(c.responses.retrieve("resp_1")),
    "beta.responses": lambda one, c: one.run(c.beta.responses.create(model="m", input="x")),
    "moderations": lambda one, c: one.run(c.moderations.create(input="x")),
    "files": lambda one, c: one.run(c.files.create(file=("a.txt", b"x"), purpose="assistants")),
    "chat list": _list(lambda c: c.chat.completions.list()),
    "chat update": lambda one, c: one.run(
        c.chat.completions.update("chatcmpl-1", metadata={"a": "b"})
    ),
    "chat messages": _list(lambda c: c.chat.completions.messages.list("chatcmpl-1")),
    "own path": lambda one, c: one.run(
        c.post("/chat/completions/more", cast_to=object, body={"a": 1})
    ),
    "get": lambda one, c: one.run(c.get("/chat/completions", cast_to=object)),
}


@pytest.mark.parametrize("call", OTHERS)
def test_other_endpoints_are_untouched(sdk: Sdk, loopback: Loopback, call: str) -> None:
    def listing(request: Request) -> Reply:
        if b'"stream":true' in request.body:
            return Reply.of_sse(
                [b'event: response.created\ndata: {"type":"response.created","response":{}}\n\n']
            )
        if request.path.endswith("/embeddings"):
            return Reply.of_json(EMBEDDINGS)
        return Reply.of_json({"object": "list", "data": [], "has_more": False, "id": "x"})

    if call == "beta.responses" and not hasattr(sdk.client(loopback, plain=True).beta, "responses"):
        pytest.skip(lacking("beta.responses"))
    loopback.answer = listing
    expected = OTHERS[call](sdk, sdk.client(loopback, plain=True))
    got = OTHERS[call](sdk, sdk.client(loopback, "responses"))
    native, adapted_request = loopback.requests
    strip = (
        {"content-type", "content-length"} if call == "files" else set()
    )  # multipart boundaries are random
    if strip:
        assert [h for h in native.headers if h[0].lower() not in strip] == [
            h for h in adapted_request.headers if h[0].lower() not in strip
        ]
        assert (native.path, native.query) == (adapted_request.path, adapted_request.query)
    else:
        assert same_request(native, adapted_request)
    assert repr(got) == repr(expected) or type(got) is type(expected)


def test_a_plain_http_client_with_the_transport_set_to_chat(loopback: Loopback) -> None:

    loopback.answer = both
    headers = {"authorization": f"Bearer {KEY}"}
    url = f"{loopback.base_url}/chat/completions"
    with http.Client(headers=headers) as native:
        expected = native.post(url, json=CALL)
    with http.Client(transport=adapter.Transport(), headers=headers) as adapted_request:
        got = adapted_request.post(url, json=CALL)
    assert same_request(*loopback.requests)
    assert (got.headers.raw, got.content) == (expected.headers.raw, expected.content)
