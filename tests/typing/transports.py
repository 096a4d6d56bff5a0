"""What type checkers infer for the transports: they fit both HTTP libraries, sync and async."""

from __future__ import annotations

from typing import assert_type

import httpx
import httpx2
import openai

import adapter


def one_for_all(transport: adapter.Transport) -> None:
    """A transport for either library."""
    httpx2.Client(transport=transport, mounts={"https://": transport, "all://": None})
    httpx2.AsyncClient(transport=transport, mounts={"https://": transport})
    httpx.Client(transport=transport, mounts={"https://": transport})
    httpx.AsyncClient(transport=transport, mounts={"https://": transport})
    sync2: httpx2.BaseTransport = transport
    async2: httpx2.AsyncBaseTransport = transport
    sync1: httpx.BaseTransport = transport
    async1: httpx.AsyncBaseTransport = transport
    openai.OpenAI(http_client=openai.DefaultHttpxClient(transport=transport))
    openai.AsyncOpenAI(http_client=httpx2.AsyncClient(transport=adapter.AsyncTransport()))
    del sync2, async2, sync1, async1


def made() -> None:
    """Classes that accept transports of either library."""
    adapter.Transport()
    adapter.Transport(
        httpx2.HTTPTransport(http2=True), async_inner=httpx2.AsyncHTTPTransport(), settings={}
    )
    adapter.Transport(httpx.HTTPTransport(retries=1), settings=adapter.Settings())
    adapter.Transport(async_inner=httpx.MockTransport(lambda _: httpx.Response(200)))
    adapter.AsyncTransport(httpx.AsyncHTTPTransport())
    adapter.AsyncTransport(async_inner=adapter.Transport())


async def entered() -> None:
    """Context managers keep their type."""
    with adapter.Transport() as one:
        assert_type(one, adapter.Transport)
    async with adapter.AsyncTransport() as other:
        assert_type(other, adapter.AsyncTransport)
        await other.aclose()
