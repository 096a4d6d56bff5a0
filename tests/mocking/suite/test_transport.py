"""With a `MockTransport` of the SDK's own HTTP library."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable, Iterator
from typing import Any

import openai
import pytest
from conftest import ENDING, LIMITED, SDKS, STREAM, UNKNOWN, calls, completion, made, pieces
from desk.asking import Ticket, answer, answer_async, sorted_out, tracked, written, written_async

http: Any = importlib.import_module(SDKS)
Handler = Callable[[Any], Any]


class Desk:
    """Answers what it has, in turn, and keeps the bodies that it was sent."""

    def __init__(self) -> None:
        self.replies: list[Any] = []
        self.sent: list[dict[str, Any]] = []

    def __call__(self, request: Any) -> Any:
        assert (request.method, request.url.path) == ("POST", "/v1/chat/completions")
        self.sent.append(json.loads(request.content))
        reply = self.replies.pop(0)
        if isinstance(reply, Exception):
            raise reply
        return http.Response(200, json=reply) if isinstance(reply, dict) else reply

    def client(self, **more: Any) -> Any:
        """Make a client that it answers to."""
        return made(SDKS, http_client=http.Client(transport=http.MockTransport(self)), **more)


@pytest.fixture
def desk() -> Iterator[Desk]:
    """Make one, of which all is to be asked for."""
    made = Desk()
    yield made
    assert made.replies == []


class Broken(http.SyncByteStream):
    """A stream that breaks in its middle."""

    def __iter__(self) -> Iterator[bytes]:
        yield from pieces("So", "on")
        raise http.ReadError("the line went dead")


def test_an_answer(desk: Desk) -> None:
    desk.replies = [completion()]
    assert answer(desk.client(), "When?") == "Soon. [chatcmpl-123, 11]"
    assert desk.sent[0]["messages"][0] == {"role": "system", "content": "Be brief."}


@pytest.mark.parametrize("size", [1, 7, 100_000])
def test_an_answer_as_it_is_written(desk: Desk, size: int) -> None:
    stream = b"".join([*pieces("So", "on."), *ENDING])
    cut = (stream[at : at + size] for at in range(0, len(stream), size))
    desk.replies = [http.Response(200, content=cut, headers=STREAM)]
    assert list(written(desk.client(), "When?")) == ["So", "on.", "[stop]"]


def test_an_answer_that_breaks_off(desk: Desk) -> None:
    desk.replies = [http.Response(200, stream=Broken(), headers=STREAM)]
    said = []
    with pytest.raises((openai.APIConnectionError, http.ReadError)):
        said.extend(written(desk.client(), "When?"))
    assert said == ["So", "on"]


def test_parcels_are_tracked(desk: Desk, parcels: dict[int, str]) -> None:
    desk.replies = [calls(call_1=1042), calls(call_2=1043), completion("One is lost.")]
    assert tracked(desk.client(), "Where?", parcels.__getitem__) == "One is lost."
    assert [len(body["messages"]) for body in desk.sent] == [2, 4, 6]
    assert desk.sent[0]["tools"][0]["function"]["name"] == "track"


def test_a_ticket(desk: Desk) -> None:
    desk.replies = [completion('{"topic": "refund", "urgent": false}')]
    assert sorted_out(desk.client(), "My money!") == Ticket(topic="refund", urgent=False)


def test_errors_and_retries(desk: Desk) -> None:
    limited = http.Response(429, json=LIMITED, headers={"retry-after-ms": "1"})
    desk.replies = [limited, http.ConnectTimeout("too slow"), http.Response(401, json=UNKNOWN)]
    with pytest.raises(openai.AuthenticationError, match="Incorrect API key provided"):
        answer(desk.client(max_retries=3), "When?")
    assert len(desk.sent) == 3


async def test_async() -> None:
    desk = Desk()
    stream = b"".join([*pieces("So", "on."), *ENDING])
    desk.replies = [completion(), http.Response(200, content=stream, headers=STREAM)]
    http_client = http.AsyncClient(transport=http.MockTransport(desk))
    async with made(SDKS, asynchronous=True, http_client=http_client) as client:
        assert await answer_async(client, "When?") == "Soon."
        assert [piece async for piece in written_async(client, "When?")] == ["So", "on."]
