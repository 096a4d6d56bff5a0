"""With respx, for both HTTP libraries: pytest-httpx2 is what lets it mock httpx2."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import openai
import pytest
import respx
from conftest import (
    ENDING,
    LIMITED,
    NO_MODEL,
    SDKS,
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

CORES = {"httpx": "httpcore"}
try:
    import pytest_httpx2  # noqa: F401  # registers what mocks httpx2
except ImportError:
    assert SDKS == "httpx"
else:
    CORES["httpx2"] = "httpcore2"


@pytest.fixture(params=CORES)
def library(request: pytest.FixtureRequest) -> str:
    """Run a test with each library."""
    return str(request.param)


@pytest.fixture
def router(library: str) -> Iterator[respx.Router]:
    """Mock a library; an unused route fails the test, as does a request without a route."""
    with respx.mock(using=CORES[library], assert_all_called=True, assert_all_mocked=True) as router:
        yield router


@pytest.fixture
def client(library: str, router: respx.Router) -> Any:  # the mock comes first
    """Make a client that doesn't try again."""
    return client_of(library, max_retries=0)


def test_an_answer(router: respx.Router, client: Any) -> None:
    route = router.post(URL, json__model="gpt-4o-mini", json__user="desk").respond(
        json=completion()
    )
    assert answer(client, "When?") == "Soon. [chatcmpl-123, 11]"
    assert route.call_count == 1
    request = route.calls.last.request
    assert str(request.url) == URL
    assert request.headers["authorization"] == "Bearer unused"
    body = {"model": "gpt-4o-mini", "messages": asked("When?"), "temperature": 0, "user": "desk"}
    assert json.loads(request.content) == body


def test_an_answer_as_it_is_written(router: respx.Router, client: Any) -> None:
    stream = b"".join([*pieces("So", "on."), *ENDING])
    route = router.post(URL, json__stream=True).respond(content=stream, headers=STREAM)
    assert list(written(client, "When?")) == ["So", "on.", "[stop]"]
    assert route.called


def test_parcels_are_tracked(router: respx.Router, client: Any, parcels: dict[int, str]) -> None:
    replies = [calls(call_1=1042, call_2=1043), completion("One is in Ghent.")]
    route = router.post(URL).mock(
        side_effect=[httpx.Response(200, json=reply) for reply in replies]
    )
    assert tracked(client, "Where?", parcels.__getitem__) == "One is in Ghent."
    sent = json.loads(route.calls[1].request.content)["messages"]
    assert [message["role"] for message in sent] == ["system", "user", "assistant", "tool", "tool"]
    assert sent[2]["tool_calls"] == replies[0]["choices"][0]["message"]["tool_calls"]
    assert [(one["tool_call_id"], one["content"]) for one in sent[3:]] == [
        ("call_1", "in Ghent"),
        ("call_2", "lost"),
    ]


def test_a_ticket(router: respx.Router, client: Any) -> None:
    route = router.post(URL).respond(json=completion('{"topic": "parcel", "urgent": true}'))
    assert sorted_out(client, "Where is it?!") == Ticket(topic="parcel", urgent=True)
    form = json.loads(route.calls.last.request.content)["response_format"]
    assert form["json_schema"]["name"] == "Ticket"


@pytest.mark.parametrize(
    ("status", "body", "raised"),
    [
        (401, UNKNOWN, openai.AuthenticationError),
        (404, NO_MODEL, openai.NotFoundError),
        (404, {"detail": "Not Found"}, openai.NotFoundError),
        (400, {"error": {"message": "No.", "code": None}}, openai.BadRequestError),
        (500, {"error": {"message": "Sorry.", "type": "server_error"}}, openai.InternalServerError),
    ],
)
def test_an_error(
    router: respx.Router, client: Any, status: int, body: Any, raised: type[openai.APIStatusError]
) -> None:
    route = router.post(URL).respond(status, json=body, headers={"x-request-id": "req_1"})
    with pytest.raises(raised) as caught:
        answer(client, "When?")
    assert caught.value.request_id == "req_1"
    assert caught.value.body == body.get("error", body)
    assert str(caught.value.request.url) == URL
    assert route.call_count == 1


def test_limits_and_timeouts_are_waited_for(router: respx.Router, library: str) -> None:
    limited = httpx.Response(429, json=LIMITED, headers={"retry-after-ms": "1"})
    route = router.post(URL).mock(
        side_effect=[limited, limited, httpx.Response(200, json=completion())]
    )
    assert answer(client_of(library, max_retries=2), "When?") == "Soon. [chatcmpl-123, 11]"
    counts = [call.request.headers["x-stainless-retry-count"] for call in route.calls]
    assert counts == ["0", "1", "2"]


def test_without_a_network(router: respx.Router, client: Any) -> None:
    router.post(URL).mock(side_effect=httpx.ConnectError("refused"))
    with pytest.raises(openai.APIConnectionError):
        answer(client, "When?")


async def test_async(router: respx.Router, library: str) -> None:
    route = router.post(URL)
    stream = b"".join([*pieces("So", "on."), *ENDING])
    route.side_effect = [
        httpx.Response(200, json=completion()),
        httpx.Response(200, content=stream, headers=STREAM),
    ]
    async with made(library, asynchronous=True) as client:
        assert await answer_async(client, "When?") == "Soon."
        assert [piece async for piece in written_async(client, "When?")] == ["So", "on."]
    assert route.call_count == 2
