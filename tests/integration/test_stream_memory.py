"""What an open stream holds of the request that it answers: no more than the SDK's own does."""

from __future__ import annotations

import gc
import tracemalloc
from typing import Any

import pytest

import adapter
from tests.support import loopback as loopback_server
from tests.support.answers import Sdk, chat_events, event, events, hanging, sdk
from tests.support.http import http
from tests.support.loopback import Loopback, Reply, Request

__all__ = ["sdk"]

SIZE = 1_000_000


def answer(request: Request) -> Reply:
    return hanging(events()[:5] if request.path.endswith("/responses") else chat_events()[:2])


# What other threads hold, and bytes that were read and not yet asked for, are a matter of chance.
_BY_CHANCE = [
    tracemalloc.Filter(inclusive=False, filename_pattern=pattern)
    for pattern in (
        loopback_server.__file__,
        tracemalloc.__file__,
        "*/anyio/*",
        "*/asyncio/*",
        "*/execnet/*",
        "*/h11/*",
    )
]


def traced() -> int:
    """Return the bytes that are held of what was allocated since the tracing began."""
    gc.collect()
    return sum(trace.size for trace in tracemalloc.take_snapshot().filter_traces(_BY_CHANCE).traces)


def held(sdk: Sdk, client: Any) -> int:
    """Open a stream with a long question and read its beginning; return the bytes that it holds."""

    async def abegin() -> Any:
        stream = await client.chat.completions.create(
            model="gpt-4.1", messages=long_question(), stream=True
        )
        await anext(aiter(stream))
        return stream

    def begin() -> Any:
        stream = client.chat.completions.create(
            model="gpt-4.1", messages=long_question(), stream=True
        )
        next(iter(stream))
        return stream

    def long_question() -> list[Any]:
        return [{"role": "user", "content": "x" * SIZE}]

    def open_one() -> Any:
        return begin() if sdk.mode == "sync" else sdk.run(abegin())

    first = open_one()  # allocates what all streams share
    gc.collect()
    tracemalloc.start(1)
    try:
        second = open_one()
        return traced()
    finally:
        tracemalloc.stop()
        for stream in (first, second):
            sdk.run(stream.close()) if sdk.mode == "async" else stream.close()


@pytest.mark.parametrize("way_in", ["client", "wire"])
def test_a_long_question_is_held_as_often_as_natively(
    sdk: Sdk, loopback: Loopback, way_in: str
) -> None:
    loopback.answer = answer
    settings = adapter.Settings(backend="responses", on_bug="raise", carry_reasoning="always")
    natively = held(sdk, sdk.client(loopback, plain=True))
    if way_in == "client":
        client = sdk.client(loopback, settings)
    else:
        ways_in = sdk.pick(
            (http.Client, adapter.Transport), (http.AsyncClient, adapter.AsyncTransport)
        )
        client = sdk.client(
            loopback, plain=True, http_client=ways_in[0](transport=ways_in[1](settings=settings))
        )
    adapted = held(sdk, client)
    assert natively > SIZE
    assert adapted < natively + SIZE / 10


def test_what_announces_an_item_is_not_held(sdk: Sdk, loopback: Loopback) -> None:
    thought = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "x" * SIZE}
    opening, *begun = events()[:5]
    announced = event("response.output_item.added", output_index=1, item=thought)
    client = sdk.client(loopback, adapter.Settings(backend="responses", on_bug="raise"))
    loopback.answer = lambda _: hanging([opening, *begun])
    without = held(sdk, client)
    loopback.answer = lambda _: hanging([opening, announced, *begun])
    assert held(sdk, client) < without + SIZE / 10


LONG, WORD = 4_000, "word "


def test_an_answer_so_far_is_held_by_the_character(sdk: Sdk, loopback: Loopback) -> None:
    """The answer so far is compared with its end; the SDK's own stream holds nothing of it."""
    begun, delta = (
        events()[:4],
        event(
            "response.output_text.delta", item_id="m", output_index=0, content_index=0, delta=WORD
        ),
    )
    loopback.answer = lambda _: hanging([*begun, *[delta] * LONG])
    client = sdk.client(loopback, adapter.Settings(backend="responses", on_bug="raise"))
    body: dict[str, Any] = {
        "model": "gpt-4.1",
        "messages": [{"role": "user", "content": "Hi"}],
        "stream": True,
    }

    async def aread(stream: Any, count: int) -> None:
        chunks = aiter(stream)
        for _ in range(count):
            await anext(chunks)

    def read(stream: Any, count: int) -> None:
        if sdk.mode == "async":
            sdk.run(aread(stream, count))
        else:
            chunks = iter(stream)
            for _ in range(count):
                next(chunks)

    stream = sdk.create(client, **body)
    read(stream, 20)
    gc.collect()
    tracemalloc.start(1)
    try:
        read(stream, LONG - 100)
        grown = traced()
    finally:
        tracemalloc.stop()
        sdk.run(stream.close()) if sdk.mode == "async" else stream.close()
    assert grown < 6 * LONG * len(WORD)
