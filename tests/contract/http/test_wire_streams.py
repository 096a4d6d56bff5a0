"""Translated streams without faults of upstream: flow, ends, readers that leave, connections."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import anyio
import pytest

import adapter
from adapter._http.draining import drain
from tests.support.answers import (
    CALL,
    KEY,
    RESPONSES,
    Sdk,
    Settings,
    both,
    chat_events,
    delta,
    ending,
    event,
    events,
    finishes,
    opening,
    paths,
    response,
    sdk,
    text_of,
)
from tests.support.chunking import CUTS
from tests.support.http import default_client
from tests.support.loopback import Loopback, Reply, Request

__all__ = ["sdk"]


# Flow


@pytest.mark.parametrize("cut", CUTS)
def test_cuts_do_not_matter(sdk: Sdk, loopback: Loopback, cut: str) -> None:
    data = b"".join(events("Hé", "llo \u2028", "😀 there"))
    loopback.answer = [Reply.of_sse(CUTS["whole"](data)), Reply.of_sse(CUTS[cut](data))]
    client = sdk.client(loopback)
    expected, got = sdk.stream(client), sdk.stream(client)
    assert got == expected
    assert text_of(got) == "Héllo \u2028😀 there"
    assert finishes(got) == ["stop"]


def test_each_event_is_passed_on_at_once(sdk: Sdk, loopback: Loopback) -> None:
    received = threading.Semaphore(0)
    waited: list[bool] = []

    def parts() -> Iterator[bytes]:
        yield from opening()
        for number in range(5):
            yield delta(f"{number} ")
            waited.append(
                received.acquire(timeout=5)
            )  # nothing more is sent before this has reached the caller
        yield ending("0 1 2 3 4 ")

    loopback.answer = [Reply.of_sse(parts())]

    def tell(chunk: Any) -> None:
        if chunk.choices and chunk.choices[0].delta.content:
            received.release()

    stream = sdk.create(sdk.client(loopback), stream=True)
    assert text_of(sdk.list(stream, tell)) == "0 1 2 3 4 "
    assert waited == [True] * 5


def test_include_usage(sdk: Sdk, loopback: Loopback) -> None:
    loopback.answer = both
    client = sdk.client(loopback)
    chunks = sdk.stream(client, stream_options={"include_usage": True})
    assert [chunk.usage.total_tokens for chunk in chunks if chunk.usage] == [8]
    assert chunks[-1].choices == []
    assert "stream_options" not in loopback.requests[0].json()
    assert all(chunk.usage is None for chunk in sdk.stream(client))


def test_raw_wrappers_of_streams(sdk: Sdk, loopback: Loopback) -> None:
    loopback.answer = both
    got = sdk.run(
        sdk.client(loopback).chat.completions.with_raw_response.create(**CALL, stream=True)
    )
    assert got.headers["x-adapter-backend"] == "responses"
    assert text_of(sdk.list(got.parse())) == "Hello there"


def _lines(one: Sdk, reply: Any) -> Any:
    return _collect(one, reply.iter_lines())


def _bytes(one: Sdk, reply: Any) -> Any:
    return _collect(one, reply.iter_bytes())


def _collect(one: Sdk, iterator: Any) -> Any:
    if one.mode == "sync":
        return list(iterator)

    async def read() -> list[Any]:
        return [item async for item in iterator]

    return read()


def _manager(one: Sdk, server: Loopback, **more: Any) -> Any:
    return one.client(server).chat.completions.with_streaming_response.create(**CALL, **more)


def test_streaming_response_lines(sdk: Sdk, loopback: Loopback) -> None:
    loopback.answer = both
    lines = sdk.inside(_manager(sdk, loopback, stream=True), lambda reply: _lines(sdk, reply))
    data = [line for line in lines if line]
    assert data[-1] == "data: [DONE]"
    chunks = [json.loads(line.removeprefix("data: ")) for line in data[:-1]]
    assert {chunk["object"] for chunk in chunks} == {"chat.completion.chunk"}
    assert len(lines) == 2 * len(data)  # each event is followed by a blank line


def test_streaming_response_bytes(sdk: Sdk, loopback: Loopback) -> None:
    loopback.answer = both
    pieces = sdk.inside(_manager(sdk, loopback, stream=True), lambda reply: _bytes(sdk, reply))
    data = b"".join(pieces)
    assert data.endswith(b"data: [DONE]\n\n")
    assert b"response." not in data
    assert b"event:" not in data


def test_streaming_response_parse_of_a_stream(sdk: Sdk, loopback: Loopback) -> None:
    loopback.answer = both

    def parsed(reply: Any) -> Any:
        if sdk.mode == "sync":
            return list(reply.parse())

        async def read() -> list[Any]:
            return [chunk async for chunk in await reply.parse()]

        return read()

    assert text_of(sdk.inside(_manager(sdk, loopback, stream=True), parsed)) == "Hello there"


@pytest.mark.parametrize("method", ["parse", "json", "read", "text"])
def test_streaming_response_of_a_whole_reply(sdk: Sdk, loopback: Loopback, method: str) -> None:
    loopback.answer = both

    def use(reply: Any) -> Any:
        assert reply.headers["x-adapter-backend"] == "responses"
        assert reply.request_id == "req_r"
        return getattr(reply, method)()

    got = sdk.inside(_manager(sdk, loopback), use)
    whole = got.model_dump() if method == "parse" else got if method == "json" else json.loads(got)
    assert whole["choices"][0]["message"]["content"] == "Hello there"


def test_what_follows_the_terminal_event_is_skipped(sdk: Sdk, loopback: Loopback) -> None:
    more = [b"data: [DONE]\n\n", delta("late"), ending("late"), b"data: nonsense\n\n"]
    loopback.answer = [Reply.of_sse([*events(), *more]), Reply.of_sse(events())]
    client = sdk.client(loopback)
    chunks = sdk.stream(client)
    assert text_of(chunks) == "Hello there"
    assert finishes(chunks) == ["stop"]
    assert text_of(sdk.stream(client)) == "Hello there"


def test_iterating_the_body_twice_resumes(sdk: Sdk, loopback: Loopback) -> None:
    loopback.answer = both
    stream = sdk.create(sdk.client(loopback), stream=True)
    body = stream.response.stream

    if sdk.mode == "sync":
        iterator = iter(body)  # kept: a collected generator closes what it delegates to
        first = next(iterator)
        rest = b"".join(body)
        again = list(body)
    else:

        async def read() -> tuple[bytes, bytes, list[bytes]]:
            begun = await anext(aiter(body))
            then = b"".join([piece async for piece in body])
            return begun, then, [piece async for piece in body]

        first, rest, again = sdk.run(read())
    assert again == []
    whole = first + rest
    assert whole.endswith(b"data: [DONE]\n\n")
    assert whole.count(b'"role"') == 1
    sdk.run(stream.close())


def test_many_streams_at_once(loopback: Loopback) -> None:
    def answer(request: Request) -> Reply:
        prompt = request.json()["input"][0]["content"]
        return Reply.of_sse(events(*[f"{prompt}-{number} " for number in range(20)]))

    loopback.answer = answer

    async def main() -> list[str]:
        given: Any = {
            "settings": Settings(backend="responses"),
            "http_client": default_client(asynchronous=True),
        }
        async with adapter.AsyncOpenAI(base_url=loopback.base_url, api_key=KEY, **given) as client:

            async def one(number: int) -> str:
                messages: Any = [{"role": "user", "content": f"t{number}"}]
                stream = await client.chat.completions.create(
                    model="gpt-4o", messages=messages, stream=True
                )
                return text_of([chunk async for chunk in stream])

            return await asyncio.gather(*[one(number) for number in range(12)])

    texts = anyio.run(main)
    assert texts == ["".join(f"t{n}-{i} " for i in range(20)) for n in range(12)]


def test_threads_share_a_client(loopback: Loopback) -> None:
    def answer(request: Request) -> Reply:
        body = request.json()
        prompt = body["input"][0]["content"] if "input" in body else body["messages"][0]["content"]
        make = events if "input" in body else chat_events
        return Reply.of_sse(make(*[f"{prompt}-{number} " for number in range(10)]))

    loopback.answer = answer
    texts: dict[int, str] = {}
    given: Any = {"settings": Settings(backend="responses"), "http_client": default_client()}
    with adapter.OpenAI(base_url=loopback.base_url, api_key=KEY, **given) as client:

        def one(number: int) -> None:
            messages: Any = [{"role": "user", "content": f"t{number}"}]
            header = {"x-adapter-backend": "chat" if number % 3 == 0 else "responses"}
            stream = client.chat.completions.create(
                model="gpt-4o", messages=messages, stream=True, extra_headers=header
            )
            texts[number] = text_of(list(stream))

        threads = [threading.Thread(target=one, args=(number,)) for number in range(12)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(10)
    assert texts == {n: "".join(f"t{n}-{i} " for i in range(10)) for n in range(12)}
    assert sorted(set(paths(loopback))) == ["/v1/chat/completions", RESPONSES]


_CREATED, _IN_PROGRESS, _ADDED, _PART = opening()
_QUEUED = event("response.queued", response=response(status="queued", output=[], usage=None))
FIRST_WORDS = {
    "created": [_CREATED],
    "created-and-in-progress": [_CREATED + _IN_PROGRESS],
    "created-and-half-an-event": [_CREATED + _IN_PROGRESS[:40]],
    "queued": [_QUEUED],
    "an-item": [_ADDED],
    "a-delta": [delta("Hello ")],
    "a-keepalive": [event("keepalive", sequence_number=1)],
    "a-comment": [b": hold on\n\n"],
    "an-event-in-pieces": [_CREATED[:10], _CREATED[10:-1], _CREATED[-1:]],
    "the-middle-of-a-line-end": [_CREATED.replace(b"\n", b"\r\n")[:-1]],
}


@pytest.mark.parametrize("first", FIRST_WORDS.values(), ids=FIRST_WORDS)
@pytest.mark.parametrize("way", ["create", "raw", "helper"])
def test_a_stream_is_handed_over_with_its_first_event(
    sdk: Sdk, loopback: Loopback, way: str, first: list[bytes]
) -> None:
    """The server continues only when the caller has its stream."""
    handed_over = threading.Event()
    waited: list[bool] = []

    def parts() -> Iterator[bytes]:
        yield from first
        waited.append(handed_over.wait(5))
        rest = events()
        begun = b"".join(first)
        if begun.startswith(delta("Hello ")):
            rest = [_CREATED, delta("there"), rest[-1]]
        elif begun.endswith(_IN_PROGRESS[:40]):
            rest = [_IN_PROGRESS[40:], *rest[2:]]
        elif begun.endswith(b"\r"):
            rest = [b"\n", *rest[1:]]
        yield from rest

    loopback.answer = [Reply.of_sse(parts())]
    completions = sdk.client(loopback).chat.completions
    if way == "helper":
        manager = completions.stream(**CALL)
        text = sdk.inside(manager, lambda stream: _text_of_helper(sdk, stream, handed_over))
    else:
        create = completions.with_raw_response.create if way == "raw" else completions.create
        stream = sdk.run(create(**CALL, stream=True))
        handed_over.set()
        text = text_of(sdk.list(stream.parse() if way == "raw" else stream))
    assert text == "Hello there"
    assert waited == [True]


def _text_of_helper(one: Sdk, stream: Any, handed_over: threading.Event) -> Any:
    handed_over.set()
    if one.mode == "sync":
        return stream.get_final_completion().choices[0].message.content

    async def read() -> str:
        completion = await stream.get_final_completion()
        return str(completion.choices[0].message.content)

    return read()


def test_several_streams_are_handed_over_with_their_first_events(
    sdk: Sdk, loopback: Loopback
) -> None:
    handed_over = threading.Event()
    waited: list[bool] = []

    def parts() -> Iterator[bytes]:
        yield _CREATED
        waited.append(handed_over.wait(5))
        yield from events()[1:]

    loopback.answer = lambda _: Reply.of_sse(parts())
    client = sdk.client(loopback, settings=Settings(backend="responses", emulate={"n"}))
    stream = sdk.create(client, stream=True, n=3)
    handed_over.set()
    assert finishes(sdk.list(stream)) == ["stop"] * 3
    assert waited == [True] * 3


@pytest.mark.parametrize("order", ["inside", "overlapping"])
def test_two_threads_end_streams_of_one_connection(order: str) -> None:
    """The second one has the connection as soon as the first one's stream has ended."""

    class NetworkStream:
        def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
            return b"x"

    stream = NetworkStream()
    extensions = {"http_version": b"HTTP/1.1", "network_stream": stream}
    reply = SimpleNamespace(extensions=extensions)
    begun, go_on = threading.Event(), threading.Event()
    errors: list[Exception | None] = []

    def second_source() -> Iterator[bytes]:
        yield stream.read(1)
        begun.set()
        assert go_on.wait(5)

    def first_source() -> Iterator[bytes]:
        yield stream.read(1)
        second.start()
        assert begun.wait(5)
        if order == "inside":
            go_on.set()
            second.join()

    second = threading.Thread(target=lambda: errors.append(drain(reply, second_source())))
    errors.append(drain(reply, first_source()))
    go_on.set()
    second.join()
    assert errors == [None, None]
    assert vars(stream) == {}
