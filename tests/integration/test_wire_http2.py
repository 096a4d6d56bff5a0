"""Real HTTP/2: many calls on one connection, full windows, streams that are left or break."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import openai
import pytest

import adapter
from tests.support.answers import (
    CALL,
    CHAT,
    KEY,
    RESPONSES,
    Sdk,
    both,
    chat_events,
    delta,
    ending,
    hanging,
    message_item,
    opening,
    paths,
    response,
    sdk,
    text_of,
)
from tests.support.http import CONNECTION_ERRORS, http
from tests.support.http2 import Http2Loopback
from tests.support.loopback import Reply, Request

__all__ = ["sdk"]

AT_ONCE = 20


@pytest.fixture
def server() -> Iterator[Http2Loopback]:
    with Http2Loopback(both) as running:
        yield running


def _http_client(sdk: Sdk) -> Any:
    return sdk.pick(http.Client, http.AsyncClient)(http1=False, http2=True, verify=False)


def _adapted(sdk: Sdk, server: Http2Loopback, way: str = "client") -> Any:
    """Make a client in one of the three ways in."""
    match way:
        case "client":
            return sdk.client(server, http_client=_http_client(sdk))
        case "install":
            client = sdk.client(server, plain=True, http_client=_http_client(sdk))
            return adapter.install(client, adapter.Settings(backend="responses"))
    transport_class = sdk.pick(adapter.Transport, adapter.AsyncTransport)
    inner = sdk.pick(http.HTTPTransport, http.AsyncHTTPTransport)(
        http1=False, http2=True, verify=False
    )
    transport = transport_class(inner, settings=adapter.Settings(backend="responses"))
    return sdk.client(
        server, plain=True, http_client=sdk.pick(http.Client, http.AsyncClient)(transport=transport)
    )


@pytest.mark.parametrize("way", ["client", "install", "transport"])
def test_both_kinds_of_call(sdk: Sdk, server: Http2Loopback, way: str) -> None:
    client = _adapted(sdk, server, way)
    assert text_of(sdk.create(client)) == "Hello there"
    assert text_of(sdk.stream(client)) == "Hello there"
    assert paths(server) == [RESPONSES] * 2
    assert server.connections == 1
    assert server.requests[0].json() == {
        "store": False,
        "model": "gpt-4o",
        "input": CALL["messages"],
    }
    assert server.requests[0].header("authorization") == f"Bearer {KEY}"


def test_the_reply_says_http2(sdk: Sdk, server: Http2Loopback) -> None:
    raw = sdk.run(_adapted(sdk, server).chat.completions.with_raw_response.create(**CALL))
    assert raw.http_response.http_version == "HTTP/2"
    assert text_of(raw.parse()) == "Hello there"


def test_off_is_off(sdk: Sdk, server: Http2Loopback) -> None:
    plain = sdk.client(server, plain=True, http_client=_http_client(sdk))
    off = sdk.client(server, "chat", http_client=_http_client(sdk))
    assert text_of(sdk.create(plain)) == text_of(sdk.create(off)) == "Native hello"
    native, adapted_request = server.requests
    assert (native.path, native.headers, native.body) == (
        adapted_request.path,
        adapted_request.headers,
        adapted_request.body,
    )
    assert native.path == CHAT


def test_more_than_a_window_both_ways(sdk: Sdk, server: Http2Loopback) -> None:
    """HTTP/2 lets 64 KB be sent before the other side has confirmed them."""
    long = "word " * 60_000
    server.answer = lambda request: (
        Reply.of_sse([*opening(), *[delta(long)] * 3, ending(long * 3)])
        if request.json().get("stream")
        else Reply.of_json(response(message_item(long)))
    )
    client = _adapted(sdk, server)
    messages = [{"role": "user", "content": long}]
    assert text_of(sdk.create(client, messages=messages)) == long
    assert text_of(sdk.stream(client, messages=messages)) == long * 3
    assert [request.json()["input"] for request in server.requests] == [messages] * 2
    assert server.connections == 1


def _echoing(begun: threading.Barrier) -> Any:
    def answer(request: Request) -> Reply:
        word = request.json()["input"][0]["content"]

        def parts() -> Iterator[bytes]:
            yield from [*opening(), delta(f"{word} ")]
            yield delta("again")
            yield ending(f"{word} again")

        begun.wait(10)  # no answer before all requests are there
        return Reply.of_sse(parts())

    return answer


def test_streams_share_a_connection(sdk: Sdk, server: Http2Loopback) -> None:
    """At once in async code, one by one in sync code.

    From several threads the HTTP library's own HTTP/2 hangs, natively too.
    """
    server.answer = both
    client = _adapted(sdk, server)
    # Only after it the HTTP library knows that it needs no second connection.
    assert text_of(sdk.create(client))
    server.answer = _echoing(threading.Barrier(AT_ONCE if sdk.mode == "async" else 1))
    calls = [
        {**CALL, "messages": [{"role": "user", "content": f"n{n}"}], "stream": True}
        for n in range(AT_ONCE)
    ]

    async def one(call: dict[str, Any]) -> str:
        return text_of([chunk async for chunk in await client.chat.completions.create(**call)])

    async def together() -> list[str]:
        return await asyncio.gather(*map(one, calls))

    if sdk.mode == "async":
        texts = sdk.run(together())
    else:
        texts = [text_of(list(client.chat.completions.create(**call))) for call in calls]
    assert texts == [f"n{number} again" for number in range(AT_ONCE)]
    assert server.connections == 1


def _held(server: Http2Loopback) -> None:
    held = hanging([*opening(), delta("Hello ")])
    chat = hanging(chat_events("Hello ")[:2])
    server.answer = lambda request: (
        both(request)
        if not request.json().get("stream")
        else chat
        if request.path == CHAT
        else held
    )


def test_leaving_a_stream_leaves_the_connection(sdk: Sdk, server: Http2Loopback) -> None:
    """The HTTP library decides whether a stream that is left is reset: the same as natively."""
    _held(server)
    seen = []
    for client in (
        sdk.client(server, plain=True, http_client=_http_client(sdk)),
        _adapted(sdk, server),
    ):
        before = server.connections, server.resets
        left, kept = sdk.create(client, stream=True), sdk.create(client, stream=True)
        for stream in (left, kept):
            sdk.run(next(stream) if sdk.mode == "sync" else anext(stream))
        sdk.run(left.close())
        text_of(
            sdk.create(client)
        )  # on the same connection: upstream has seen everything before it
        seen.append((server.connections - before[0], server.resets - before[1]))
        sdk.run(kept.close())
    assert seen[0] == seen[1]
    assert seen[1][0] == 1


def test_cancelling_a_task_leaves_the_connection(server: Http2Loopback) -> None:
    _held(server)
    given: dict[str, Any] = {"base_url": server.base_url, "api_key": KEY, "max_retries": 0}

    async def main(client: Any) -> tuple[str, int, int]:
        before = server.connections, server.resets
        reading = asyncio.Event()

        async def read() -> None:
            async for _ in await client.chat.completions.create(**CALL, stream=True):
                reading.set()

        async with client:
            task = asyncio.create_task(read())
            await reading.wait()
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            assert task.cancelled()
            text = text_of(await client.chat.completions.create(**CALL))
            assert asyncio.all_tasks() == {asyncio.current_task()}
        return text, server.connections - before[0], server.resets - before[1]

    def http_client() -> Any:
        return http.AsyncClient(http1=False, http2=True, verify=False)

    native = asyncio.run(main(openai.AsyncOpenAI(**given, http_client=http_client())))
    settings = adapter.Settings(backend="responses")
    adapted_request = asyncio.run(
        main(adapter.AsyncOpenAI(**given, http_client=http_client(), settings=settings))
    )
    assert native == ("Native hello", *adapted_request[1:])
    assert adapted_request[:2] == ("Hello there", 1)


BROKEN: dict[str, tuple[bool, Reply]] = {
    "whole": (
        False,
        Reply(200, (("content-type", "application/json"),), [b'{"id": "resp_1"'], ending="reset"),
    ),
    "stream": (True, Reply.of_sse([*opening(), delta("Hello ")], ending="reset")),
    "stream, before its first event": (True, Reply.of_sse([], ending="reset")),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_stream_that_upstream_resets(sdk: Sdk, server: Http2Loopback, case: str) -> None:
    streamed, reply = BROKEN[case]
    server.answer = lambda request: reply if len(server.requests) == 1 else both(request)
    client = _adapted(sdk, server)
    with pytest.raises((openai.APIConnectionError, *CONNECTION_ERRORS)):
        (sdk.stream if streamed else sdk.create)(client)
    assert text_of(sdk.create(client)) == "Hello there"
