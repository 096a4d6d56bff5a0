"""What an open stream holds of the request that it answers: no more than the SDK's own does."""

from __future__ import annotations

import gc
import tracemalloc
from typing import Any

import pytest

import adapter
from tests.support.answers import Sdk, chat_events, events, hanging, sdk
from tests.support.http import http
from tests.support.loopback import Loopback, Reply, Request

__all__ = ["sdk"]

SIZE = 1_000_000


def answer(request: Request) -> Reply:
    return hanging(events()[:5] if request.path.endswith("/responses") else chat_events()[:2])


def held(sdk: Sdk, client: Any) -> int:
    """Open a stream with a long question and begin to read it; return the bytes that it holds then."""

    async def abegin() -> Any:
        stream = await client.chat.completions.create(model="gpt-4.1", messages=said(), stream=True)
        await anext(aiter(stream))
        return stream

    def begin() -> Any:
        stream = client.chat.completions.create(model="gpt-4.1", messages=said(), stream=True)
        next(iter(stream))
        return stream

    def said() -> list[Any]:
        return [{"role": "user", "content": "x" * SIZE}]

    def open_one() -> Any:
        return begin() if sdk.mode == "sync" else sdk.run(abegin())

    first = open_one()  # what is made once for all
    gc.collect()
    tracemalloc.start(1)
    try:
        second = open_one()
        gc.collect()
        return tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
        for stream in (first, second):
            sdk.run(stream.close()) if sdk.mode == "async" else stream.close()


@pytest.mark.parametrize("door", ["client", "wire"])
def test_a_long_question_is_held_as_often_as_natively(sdk: Sdk, loopback: Loopback, door: str) -> None:
    loopback.answer = answer
    settings = adapter.Settings(backend="responses", on_bug="raise", carry_reasoning="always")
    natively = held(sdk, sdk.client(loopback, plain=True))
    if door == "client":
        client = sdk.client(loopback, settings)
    else:
        doors = sdk.pick((http.Client, adapter.Transport), (http.AsyncClient, adapter.AsyncTransport))
        client = sdk.client(loopback, plain=True, http_client=doors[0](transport=doors[1](settings=settings)))
    adapted = held(sdk, client)
    assert natively > SIZE
    assert adapted < natively + SIZE / 10
