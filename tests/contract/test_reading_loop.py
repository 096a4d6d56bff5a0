"""One tool loop for both APIs: the same conversation natively and through the adapter.

Streamed and not.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Sequence
from typing import Any, Literal

import openai
import pytest

import adapter
from adapter import Finished, ToolCallDone, Turn, read, tool_result, tools_for
from adapter.testing.cassettes import use_cassette
from tests.support import flips
from tests.support.http import http as HTTP  # noqa: N812 - a module, chosen at run time
from tests.support.real_server import KEY, ONE_REQUEST_A_CONNECTION, server
from tests.support.scenarios import ANSWERS

__all__ = ["server"]
Api = Literal["chat", "responses"]
Way = Literal["whole", "streamed", "in turns"]


class Conversation:
    """A conversation: `request` makes the next request, `receive` adds a turn.

    `receive` returns whether the model waits for tool results.
    """

    def __init__(self, api: Api, way: Way) -> None:
        self.api, self.way = api, way
        self.history: list[dict[str, Any]] = []
        self.transcript: list[dict[str, Any]] = []
        self.turns = 0

    def add_question(self, question: str) -> None:
        message = {"role": "user", "content": question}
        self.history.append(message)
        self.transcript.append(message)

    def request(self) -> dict[str, Any]:
        body: dict[str, Any] = {"model": "tiny", "tools": tools_for(self.api, flips.TOOLS)}
        body |= (
            {"messages": self.history}
            if self.api == "chat"
            else {"input": self.history, "store": False}
        )
        streamed = self.way == "streamed" or (self.way == "in turns" and self.turns % 3 == 2)
        return body | ({"stream": True} if streamed else {})

    def receive(self, turn: Turn[Any]) -> bool:
        self.turns += 1
        results = [tool_result(call, ANSWERS[call.name]) for call in turn.tool_calls]
        for entry in (turn, *results):
            self.transcript.append(entry.as_message())
            self.history += [entry.as_message()] if self.api == "chat" else entry.as_items()
        assert turn.finish == ("tool_calls" if results else "stop")
        assert [call.problem for call in turn.tool_calls] == [None] * len(results)
        assert [call.parsed for call in turn.tool_calls] == [
            call.json() for call in turn.tool_calls
        ]
        return bool(results)


def method(client: Any, api: Api) -> Any:
    return client.chat.completions.create if api == "chat" else client.responses.create


def finished(events: list[Any]) -> Turn[Any]:
    last = events[-1]
    assert isinstance(last, Finished)
    done = [event.id for event in events if isinstance(event, ToolCallDone)]
    assert done == [call.id for call in last.turn.tool_calls]
    return last.turn


def hold(client: Any, api: Api, way: Way, questions: Sequence[str] = flips.QUESTIONS) -> str:
    conversation = Conversation(api, way)
    for question in questions:
        conversation.add_question(question)
        more = True
        while more:
            body = conversation.request()
            result = method(client, api)(**body)
            read_ = read(result, tools=flips.TOOLS)
            more = conversation.receive(finished(list(read_)) if body.get("stream") else read_)
    return flips.state(conversation.transcript)


async def hold_async(
    client: Any, api: Api, way: Way, questions: Sequence[str] = flips.QUESTIONS
) -> str:
    conversation = Conversation(api, way)
    for question in questions:
        conversation.add_question(question)
        more = True
        while more:
            body = conversation.request()
            sent = method(client, api)(**body)
            result = await sent if inspect.isawaitable(sent) else sent
            read_ = read(result, tools=flips.TOOLS)
            more = conversation.receive(
                finished([event async for event in read_]) if body.get("stream") else read_
            )
    return flips.state(conversation.transcript)


# The SDK itself on either API, and the adapter's client with the flag off and on.
ARMS: dict[str, tuple[Any, Api, str, dict[str, Any]]] = {
    "native_chat": (openai.OpenAI, "chat", "chat", {}),
    "native_responses": (openai.OpenAI, "responses", "responses", {}),
    "flag_off": (adapter.OpenAI, "chat", "chat", {"backend": "chat"}),
    "flag_on": (adapter.OpenAI, "chat", "responses", {"backend": "responses"}),
}
each_arm = pytest.mark.parametrize("arm", ARMS)


def client(
    kind: Any, settings: dict[str, Any], base_url: str = "http://replayed.invalid/v1", **more: Any
) -> Any:
    if settings:
        more["settings"] = adapter.Settings(
            unsupported="error", on_bug="raise", fallback=(), **settings
        )
    return kind(base_url=base_url, api_key=KEY, max_retries=0, **more)


@pytest.fixture(scope="module")
def transcript() -> str:
    """Return the conversation without the reader: with the SDK, on Chat."""
    with (
        use_cassette(flips.cassette("chat")),
        client(openai.OpenAI, {}, http_client=HTTP.Client(verify=False)) as sdk,
    ):
        return flips.state(flips.hold(sdk, "chat", lambda _: adapter.use()))


@each_arm
def test_on_cassettes(arm: str, transcript: str) -> None:
    kind, api, side, settings = ARMS[arm]
    with (
        use_cassette(flips.cassette(side)),
        client(kind, settings, http_client=HTTP.Client(verify=False)) as made,
    ):
        assert hold(made, api, "in turns") == transcript


@each_arm
async def test_on_cassettes_async(arm: str, transcript: str) -> None:
    kind, api, side, settings = ARMS[arm]
    kind = (openai if kind is openai.OpenAI else adapter).AsyncOpenAI
    http_client = HTTP.AsyncClient(verify=False)
    with use_cassette(flips.cassette(side)):
        async with client(kind, settings, http_client=http_client) as made:
            assert await hold_async(made, api, "in turns") == transcript


@pytest.fixture(scope="module")
def beginning(transcript: str) -> str:
    """Return the conversation up to the second question; a real server is slow."""
    messages = json.loads(transcript)
    second = [n for n, message in enumerate(messages) if message["role"] == "user"][1]
    assert second == 6
    return json.dumps(messages[:second], sort_keys=True, indent=1)


@pytest.mark.server
@each_arm
@pytest.mark.parametrize("way", ["whole", "streamed"])
def test_on_a_real_server(arm: str, way: Way, server: str, beginning: str) -> None:
    kind, api, _, settings = ARMS[arm]
    with client(kind, settings, server, default_headers=ONE_REQUEST_A_CONNECTION) as made:
        assert hold(made, api, way, flips.QUESTIONS[:1]) == beginning


@pytest.mark.server
@each_arm
async def test_on_a_real_server_async(arm: str, server: str, beginning: str) -> None:
    kind, api, _, settings = ARMS[arm]
    kind = (openai if kind is openai.OpenAI else adapter).AsyncOpenAI
    async with client(kind, settings, server, default_headers=ONE_REQUEST_A_CONNECTION) as made:
        assert await hold_async(made, api, "streamed", flips.QUESTIONS[:1]) == beginning


def test_the_conversation_is_a_real_one(transcript: str) -> None:
    roles = [message["role"] for message in json.loads(transcript)]
    assert roles.count("assistant") == flips.TURNS
    assert roles.count("tool") == 7
