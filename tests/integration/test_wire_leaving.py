"""Readers that leave a stream early: upstream's connection is closed, and nothing leaks.

See docs/edge-cases.md#leaving-a-stream-early.
"""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from typing import Any

import anyio
import openai
import pytest

import adapter
from adapter._sdk.compat import SUPPORTED
from tests.support.answers import (
    CALL,
    KEY,
    Sdk,
    Settings,
    both,
    chat_events,
    event,
    events,
    finishes,
    hanging,
    opening,
    sdk,
    text_of,
)
from tests.support.http import default_client, helpers_of, http
from tests.support.loopback import Loopback, Reply, Request

__all__ = ["sdk"]


def released(server: Loopback) -> bool:
    """Wait until the server sees that all connections were closed."""
    return server.wait_for(lambda one: one.open_connections == 0)


# Early leavers


def test_close(sdk: Sdk, loopback: Loopback) -> None:
    loopback.answer = [hanging(events()[:5])]
    stream = sdk.create(sdk.client(loopback), stream=True)
    sdk.run(stream.close())
    sdk.run(stream.close())
    assert released(loopback)


def test_leaving_a_with_block(sdk: Sdk, loopback: Loopback) -> None:
    loopback.answer = [hanging(events()[:5])]

    def first(stream: Any) -> Any:
        return next(stream) if sdk.mode == "sync" else stream.__anext__()

    chunk = sdk.inside(sdk.create(sdk.client(loopback), stream=True), first)
    assert chunk.choices[0].delta.role == "assistant"
    assert released(loopback)


def test_an_exception_of_the_reader(sdk: Sdk, loopback: Loopback) -> None:
    loopback.answer = [hanging(events()[:5])]

    def fail(stream: Any) -> Any:
        raise KeyError("the reader's own")

    with pytest.raises(KeyError):
        sdk.inside(sdk.create(sdk.client(loopback), stream=True), fail)
    assert released(loopback)


@pytest.fixture
def uncollected() -> Iterator[None]:
    """Disable the garbage collector where adapted streams don't need it; others hold themselves."""
    if SUPPORTED:
        gc.disable()
    try:
        yield
    finally:
        gc.enable()


@pytest.mark.usefixtures("uncollected")
def test_break_without_a_with_block(loopback: Loopback) -> None:
    loopback.answer = [hanging(events()[:5])]
    given: Any = {"settings": Settings(backend="responses"), "http_client": default_client()}
    with adapter.OpenAI(base_url=loopback.base_url, api_key=KEY, **given) as client:
        for _ in client.chat.completions.create(**CALL, stream=True):
            break
        if not SUPPORTED:
            gc.collect()
        assert released(loopback)


@pytest.mark.usefixtures("uncollected")
async def test_break_without_an_async_with_block(loopback: Loopback) -> None:
    loopback.answer = [hanging(events()[:5])]
    async with await _adapted(loopback) as client:
        async for _ in await client.chat.completions.create(**CALL, stream=True):
            break
        if not SUPPORTED:
            gc.collect()
        assert await asyncio.to_thread(released, loopback)


def test_leaving_the_stream_helper(sdk: Sdk, loopback: Loopback) -> None:
    loopback.answer = [hanging(events()[:5])]
    manager = helpers_of(sdk.client(loopback)).stream(**CALL)
    sdk.inside(
        manager, lambda stream: next(iter(stream)) if sdk.mode == "sync" else stream.__anext__()
    )
    assert released(loopback)


@pytest.mark.parametrize("read", [False, True], ids=["unread", "one line"])
def test_leaving_a_streaming_response(sdk: Sdk, loopback: Loopback, read: bool) -> None:
    loopback.answer = [hanging(events()[:5])]

    def use(reply: Any) -> Any:
        if not read:
            return None
        lines = reply.iter_lines()
        return next(lines) if sdk.mode == "sync" else _first(lines)

    create = sdk.client(loopback).chat.completions.with_streaming_response.create
    line = sdk.inside(create(**CALL, stream=True), use)
    assert line is None or line.startswith("data: {")
    assert released(loopback)


async def _first(iterator: Any) -> Any:
    try:
        return await anext(iterator)
    finally:
        await iterator.aclose()


def test_closing_before_anything_is_read_frees_the_connection_for_others(
    sdk: Sdk, loopback: Loopback
) -> None:
    loopback.answer = lambda request: (
        hanging(opening()) if request.json().get("stream") else both(request)
    )
    client = sdk.client(loopback)
    for _ in range(3):
        sdk.run(sdk.create(client, stream=True).close())
    assert text_of(sdk.create(client)) == "Hello there"
    assert loopback.wait_for(lambda one: one.open_connections == 1)
    assert _pool(client).connections == [] or len(_pool(client).connections) == 1


def _pool(client: Any) -> Any:
    return client._client._transport._pool


async def _adapted(server: Loopback, **more: Any) -> openai.AsyncOpenAI:
    given = {
        "settings": Settings(backend="responses"),
        "http_client": default_client(asynchronous=True),
        **more,
    }
    return adapter.AsyncOpenAI(base_url=server.base_url, api_key=KEY, max_retries=0, **given)


STAGES = {"before the head": None, "after the head": [], "in the stream": events()[:5]}


@pytest.mark.parametrize("stage", STAGES)
async def test_cancellation_hangs_up(loopback: Loopback, stage: str) -> None:
    sent = STAGES[stage]
    arrived, over = threading.Event(), threading.Event()

    def answer(request: Request) -> Reply:
        arrived.set()
        if sent is None:
            over.wait(10)
            return Reply.drop()
        return hanging(sent)

    loopback.answer = answer
    async with await _adapted(loopback) as client:
        reading = asyncio.Event()

        async def read() -> None:
            async for _ in await client.chat.completions.create(**CALL, stream=True):
                reading.set()

        task = asyncio.create_task(read())
        assert await asyncio.to_thread(arrived.wait, 5)
        if sent:
            await reading.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        over.set()
        assert await asyncio.to_thread(released, loopback)
        assert _pool(client).connections == []


async def test_a_deadline_hangs_up(loopback: Loopback) -> None:
    loopback.answer = [hanging(events()[:5])]
    async with await _adapted(loopback) as client:
        stream = await client.chat.completions.create(**CALL, stream=True)
        assert await anext(stream)
        with anyio.move_on_after(0.3) as scope:
            while True:  # all that was sent is read, and nothing more comes
                await anext(stream)
        assert scope.cancelled_caught
        assert await asyncio.to_thread(released, loopback)


async def test_an_abandoned_async_stream_leaves_no_warning(loopback: Loopback) -> None:
    loopback.answer = [hanging(events()[:5])]
    async with await _adapted(loopback) as client:
        async with await client.chat.completions.create(**CALL, stream=True) as stream:
            async for _ in stream:
                break
        del stream
        gc.collect()
        assert await asyncio.to_thread(released, loopback)


# Connections


def _connections(one: Sdk, call: Callable[[Any], Any], *, plain: bool) -> int:
    with Loopback(both) as server:
        client = one.client(server, plain=plain)
        for _ in range(6):
            call(client)
        return server.connections


def test_connections_are_used_again(sdk: Sdk) -> None:
    def streamed(client: Any) -> None:
        assert sdk.stream(client)

    native, adapted = (
        _connections(sdk, streamed, plain=True),
        _connections(sdk, streamed, plain=False),
    )
    assert adapted <= native
    assert _connections(sdk, sdk.create, plain=False) == 1


def test_connections_after_errors_are_used_again(sdk: Sdk, loopback: Loopback) -> None:
    failing = Reply.of_sse([event("error", code="rate_limit_exceeded", message="slow down")])
    loopback.answer = lambda request: (
        failing if len(loopback.requests) % 2 else Reply.of_json({"error": {"message": "x"}}, 400)
    )
    client = sdk.client(loopback)
    for _ in range(4):
        with pytest.raises(openai.APIStatusError):
            sdk.create(client, stream=True)
    assert loopback.wait_for(lambda one: one.open_connections <= 1)


def test_an_upstream_that_stays_open_after_the_terminal_event(sdk: Sdk, loopback: Loopback) -> None:
    def natively() -> type[Exception] | None:
        loopback.answer = [hanging(chat_events())]
        try:
            assert (
                text_of(sdk.stream(sdk.client(loopback, plain=True, timeout=1))) == "Native hello"
            )
        except http.ReadTimeout as error:  # before 2.0 the SDK reads on after [DONE], to the end
            return type(error)
        return None

    expected = natively()
    loopback.answer = [hanging(events())]
    seen: list[Any] = []
    with nullcontext() if expected is None else pytest.raises(expected):
        sdk.list(sdk.create(sdk.client(loopback, timeout=1), stream=True), seen.append)
    assert text_of(seen) == "Hello there"
    assert finishes(seen) == ["stop"]
    assert released(loopback)
