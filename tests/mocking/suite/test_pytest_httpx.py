"""With pytest-httpx, which fails a test for an unused reply or an unexpected request."""

from __future__ import annotations

import json
from typing import Any

import httpx
import openai
import pytest
from conftest import (
    ENDING,
    LIMITED,
    STREAM,
    UNKNOWN,
    URL,
    calls,
    client_of,
    completion,
    made,
    pieces,
)
from desk.asking import (
    Ticket,
    answer,
    answer_async,
    asked,
    sorted_out,
    tracked,
    written,
    written_async,
)
from pytest_httpx import HTTPXMock, IteratorStream


@pytest.fixture
def client(httpx_mock: HTTPXMock) -> Any:  # the mock comes first
    """Make a client that doesn't try again."""
    return client_of("httpx", max_retries=0)


def test_an_answer(httpx_mock: HTTPXMock, client: Any) -> None:
    body = {"model": "gpt-4o-mini", "messages": asked("When?"), "temperature": 0, "user": "desk"}
    httpx_mock.add_response(url=URL, method="POST", match_json=body, json=completion())
    assert answer(client, "When?") == "Soon. [chatcmpl-123, 11]"
    request = httpx_mock.get_request()
    assert request is not None
    assert request.headers["content-length"] == str(len(request.content))


def test_an_answer_as_it_is_written(httpx_mock: HTTPXMock, client: Any) -> None:
    httpx_mock.add_response(
        url=URL, stream=IteratorStream([*pieces("So", "on."), *ENDING]), headers=STREAM
    )
    assert list(written(client, "When?")) == ["So", "on.", "[stop]"]


def test_parcels_are_tracked(httpx_mock: HTTPXMock, client: Any, parcels: dict[int, str]) -> None:
    httpx_mock.add_response(url=URL, json=calls(call_1=1042))
    httpx_mock.add_response(url=URL, json=completion("It is in Ghent."))
    assert tracked(client, "Where?", parcels.__getitem__) == "It is in Ghent."
    first, second = (json.loads(request.content) for request in httpx_mock.get_requests())
    assert second["messages"][: len(first["messages"])] == first["messages"]
    assert second["messages"][-1] == {
        "role": "tool",
        "tool_call_id": "call_1",
        "content": "in Ghent",
    }


def test_a_ticket(httpx_mock: HTTPXMock, client: Any) -> None:
    httpx_mock.add_response(json=completion('{"topic": "other", "urgent": false}'))
    assert sorted_out(client, "Hello!") == Ticket(topic="other", urgent=False)


def test_errors_and_retries(httpx_mock: HTTPXMock) -> None:
    httpx_mock.add_response(status_code=429, json=LIMITED, headers={"retry-after-ms": "1"})
    httpx_mock.add_exception(httpx.ReadTimeout("too slow"))
    httpx_mock.add_response(status_code=401, json=UNKNOWN)
    with pytest.raises(openai.AuthenticationError, match="Incorrect API key provided") as caught:
        answer(client_of("httpx", max_retries=3), "When?")
    assert caught.value.code == "invalid_api_key"
    assert [request.url.path for request in httpx_mock.get_requests()] == [
        "/v1/chat/completions"
    ] * 3


def test_too_slow(httpx_mock: HTTPXMock, client: Any) -> None:
    httpx_mock.add_exception(httpx.ReadTimeout("too slow"))
    with pytest.raises(openai.APITimeoutError):
        answer(client, "When?")


async def test_async(httpx_mock: HTTPXMock) -> None:
    httpx_mock.add_response(url=URL, json=completion())
    httpx_mock.add_response(
        url=URL, stream=IteratorStream([*pieces("So", "on."), *ENDING]), headers=STREAM
    )
    async with made("httpx", asynchronous=True) as client:
        assert await answer_async(client, "When?") == "Soon."
        assert [piece async for piece in written_async(client, "When?")] == ["So", "on."]
