"""Small answers of either API for the loopback server, and one way to drive the SDK in both modes.

`Sdk` runs the same test code sync and async.
"""

from __future__ import annotations

import asyncio
import contextvars
import functools
import inspect
import json
import ssl
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Literal

import openai
import pytest
from openai.types.chat import ChatCompletion

import adapter
from tests.support.http import arguments, default_client
from tests.support.loopback import HOLD, Loopback, Reply, Request

Mode = Literal["sync", "async"]
Settings = adapter.Settings

MESSAGES: list[Any] = [{"role": "user", "content": "Say hello."}]
CALL: dict[str, Any] = {"model": "gpt-4o", "messages": MESSAGES}
KEY = "fake-key"
CHAT, RESPONSES = "/v1/chat/completions", "/v1/responses"

USAGE = {
    "input_tokens": 5,
    "input_tokens_details": {"cached_tokens": 0},
    "output_tokens": 3,
    "output_tokens_details": {"reasoning_tokens": 0},
    "total_tokens": 8,
}


def message_item(text: str = "Hello there") -> dict[str, Any]:
    """Make an output message."""
    part = {"type": "output_text", "text": text, "annotations": []}
    return {
        "type": "message",
        "id": "msg_1",
        "role": "assistant",
        "status": "completed",
        "content": [part],
    }


def call_item(name: str = "get_weather", arguments: str = '{"city":"Oslo"}') -> dict[str, Any]:
    """Make an output function call."""
    call = {"type": "function_call", "id": "fc_1", "call_id": "call_1", "status": "completed"}
    return call | {"name": name, "arguments": arguments}


def response(*output: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Make a Response; without items its text is "Hello there"."""
    top = {
        "id": "resp_1",
        "object": "response",
        "created_at": 1780000000,
        "status": "completed",
        "model": "gpt-4o",
    }
    return {
        **top,
        "output": list(output or [message_item()]),
        "usage": USAGE,
        "error": None,
        **more,
    }


def completion(text: str = "Native hello") -> dict[str, Any]:
    """Make a completion of a server with Chat Completions."""
    message = {"role": "assistant", "content": text, "refusal": None, "annotations": []}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
    usage = {"prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 8}
    top = {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1780000000,
        "model": "gpt-4o",
    }
    return {**top, "choices": [choice], "usage": usage, "system_fingerprint": "fp_1"}


def event(kind: str, **data: Any) -> bytes:
    """Write one event of a Responses stream."""
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **data})}\n\n".encode()


def opening() -> list[bytes]:
    """Write the events before any text."""
    begun = response(status="in_progress", output=[], usage=None)
    item = message_item() | {"status": "in_progress", "content": []}
    part = {"type": "output_text", "text": "", "annotations": []}
    return [
        event("response.created", response=begun),
        event("response.in_progress", response=begun),
        event("response.output_item.added", output_index=0, item=item),
        event(
            "response.content_part.added",
            output_index=0,
            content_index=0,
            item_id="msg_1",
            part=part,
        ),
    ]


def delta(text: str) -> bytes:
    """Write a text delta."""
    return event(
        "response.output_text.delta", output_index=0, content_index=0, item_id="msg_1", delta=text
    )


def ending(text: str = "Hello there", *, kind: str = "response.completed", **more: Any) -> bytes:
    """Write the terminal event."""
    return event(kind, response=response(message_item(text), **more))


def events(*pieces: str) -> list[bytes]:
    """Write a whole stream of `pieces` (default: "Hello there", in two)."""
    texts = pieces or ("Hello ", "there")
    return [*opening(), *[delta(piece) for piece in texts], ending("".join(texts))]


def short_events() -> list[bytes]:
    """Write the shortest stream that real clients can use; for tests that cut it at every byte."""
    parts = [{"type": "output_text", "text": "Hé", "annotations": []}]
    whole = {
        "status": "completed",
        "output": [{"type": "message", "role": "assistant", "content": parts}],
    }
    return [
        delta("Hé"),
        event("response.completed", response={"id": "resp_1", "object": "response", **whole}),
    ]


def chat_events(*pieces: str) -> list[bytes]:
    """Write a stream of a server with Chat Completions."""
    top = {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1780000000,
        "model": "gpt-4o",
    }
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
    deltas += [{"content": piece} for piece in pieces or ("Native ", "hello")]
    chunks = [{**top, "choices": [{"index": 0, "delta": d, "finish_reason": None}]} for d in deltas]
    chunks.append({**top, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
    return [*[f"data: {json.dumps(chunk)}\n\n".encode() for chunk in chunks], b"data: [DONE]\n\n"]


def both(request: Request) -> Reply:
    """Answer on either API, whole or streamed."""
    streamed = request.json().get("stream") is True
    if request.path.endswith("/chat/completions"):
        return (
            Reply.of_sse(chat_events())
            if streamed
            else Reply.of_json(completion(), headers=(("x-request-id", "req_c"),))
        )
    if request.path.endswith("/responses"):
        return (
            Reply.of_sse(events())
            if streamed
            else Reply.of_json(response(), headers=(("x-request-id", "req_r"),))
        )
    return Reply.of_json({"error": {"message": "no such page"}}, 404)


def error(
    status: int, code: str = "some_code", *, param: str | None = None, headers: Any = ()
) -> Reply:
    """Answer with an error of the API."""
    body = {
        "error": {"message": "Upstream says no.", "type": "some_type", "param": param, "code": code}
    }
    return Reply.of_json(body, status, headers)


def hanging(parts: Iterable[bytes]) -> Reply:
    """Answer with a stream that stops after `parts` and stays open."""
    return Reply.of_sse([*parts, HOLD])


@functools.cache
def _certificates() -> ssl.SSLContext:
    return ssl.create_default_context()


class Sdk:
    """Drive the SDK in one mode: awaits results where needed and closes clients at the end."""

    def __init__(self, mode: Mode) -> None:
        self.mode = mode
        self._runner = asyncio.Runner() if mode == "async" else None
        self._clients: list[Any] = []

    @property
    def adapted(self) -> Any:
        """Return the adapter's client class for this mode."""
        return adapter.OpenAI if self.mode == "sync" else adapter.AsyncOpenAI

    @property
    def plain(self) -> Any:
        """Return the SDK's client class for this mode."""
        return openai.OpenAI if self.mode == "sync" else openai.AsyncOpenAI

    def pick(self, sync: Any, other: Any) -> Any:
        """Return the value for this mode."""
        return sync if self.mode == "sync" else other

    def run(self, value: Any) -> Any:
        """Return a value; an awaitable is run in this object's loop."""
        if self._runner is None or not inspect.isawaitable(value):
            return value

        async def awaited() -> Any:
            return await value

        return self._runner.run(
            awaited(), context=contextvars.copy_context()
        )  # run the finalizer of the caller's frame too

    def client(
        self,
        server: Loopback | str,
        settings: Any = "responses",
        *,
        plain: bool = False,
        **more: Any,
    ) -> Any:
        """Make a client without retries, closed at the end.

        `settings` may be just the backend's name.
        """
        base_url = server if isinstance(server, str) else server.base_url
        given = {"base_url": base_url, "api_key": KEY, "max_retries": 0, **more}
        if "http_client" not in more:
            # Loading the certificates is most of the cost of a client, so they are loaded once.
            given["http_client"] = default_client(
                asynchronous=self.mode == "async", verify=_certificates()
            )
        if not plain:
            given["settings"] = (
                Settings(backend=settings) if isinstance(settings, str) else settings
            )
        made = (self.plain if plain else self.adapted)(**given)
        self._clients.append(made)
        return made

    def create(self, client: Any, **more: Any) -> Any:
        """Call `chat.completions.create`."""
        return self.run(client.chat.completions.create(**arguments({**CALL, **more})))

    def list(self, stream: Any, tell: Callable[[Any], None] | None = None) -> list[Any]:
        """Read an iterator, or async iterator, to its end."""
        seen: list[Any] = []

        def take(item: Any) -> None:
            seen.append(item)
            if tell is not None:
                tell(item)

        if self.mode == "sync":
            for item in stream:
                take(item)
        else:

            async def read() -> None:
                async for item in stream:
                    take(item)

            self.run(read())
        return seen

    def stream(self, client: Any, **more: Any) -> list[Any]:
        """Stream a call and return its chunks."""
        return self.list(self.create(client, stream=True, **more))

    def inside(self, manager: Any, use: Callable[[Any], Any]) -> Any:
        """Call `use` with the value of a context manager, and await its result."""
        if not isinstance(manager, AbstractAsyncContextManager):
            with manager as entered:
                return self.run(use(entered))

        async def within() -> Any:
            async with manager as entered:
                used = use(entered)
                return await used if inspect.isawaitable(used) else used

        return self.run(within())

    def close(self) -> None:
        """Close everything that was made."""
        for client in self._clients:
            self.run(client.close())
        if self._runner is not None:
            self._runner.close()


def text_of(result: ChatCompletion | Sequence[Any]) -> str:
    """Return the text of a completion or of its chunks."""
    if isinstance(result, ChatCompletion):
        return result.choices[0].message.content or ""
    return "".join(chunk.choices[0].delta.content or "" for chunk in result if chunk.choices)


def finishes(chunks: Sequence[Any]) -> list[str]:
    """Return the finish reasons among chunks."""
    return [
        chunk.choices[0].finish_reason
        for chunk in chunks
        if chunk.choices and chunk.choices[0].finish_reason
    ]


def paths(server: Loopback) -> list[str]:
    """Return the paths of a server's requests."""
    return [request.path for request in server.requests]


def same_request(one: Request, other: Request) -> bool:
    """Return whether two requests were equal on the wire: request line, headers in order, body."""
    parts = ("method", "path", "query", "headers", "body")
    return all(getattr(one, part) == getattr(other, part) for part in parts)


@pytest.fixture(params=["sync", "async"])
def sdk(request: pytest.FixtureRequest) -> Any:
    """Yield the SDK in each mode."""
    made = Sdk(request.param)
    yield made
    made.close()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the SDK retry without delay."""
    monkeypatch.setattr("openai._base_client.INITIAL_RETRY_DELAY", 0.0)
