"""The clients that are measured: the SDK alone on either API, and the adapter's two ways in."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import openai

import adapter

MODEL = "gpt-4.1"
PLAIN: dict[str, Any] = {"api_key": "key", "max_retries": 0}
NATIVE, RESPONSES, CLIENT, TRANSPORT, OFF = (
    "native chat",
    "native responses",
    "SDK client",
    "HTTP transport",
    "off",
)
Work = Callable[[], object]


def history(count: int) -> list[dict[str, Any]]:
    """Make a conversation of `count` messages, with a tool call and its result among every ten."""
    messages: list[dict[str, Any]] = []
    for k in range(count):
        text = 2 * (
            f"Message {k}: something of an ordinary length, about the weather in Oslo, "
            "trains to Bergen, and lunch. "
        )
        match k % 10 if k < count - 2 else k % 2 * 2:
            case 5:
                function = {
                    "name": "search",
                    "arguments": '{"query": "trains from Oslo to Bergen"}',
                }
                call = {"id": f"call_{k}", "type": "function", "function": function}
                messages.append({"role": "assistant", "content": None, "tool_calls": [call]})
            case 6:
                messages.append({"role": "tool", "tool_call_id": f"call_{k - 1}", "content": text})
            case even:
                messages.append({"role": "assistant" if even % 2 else "user", "content": text})
    return messages


def question() -> list[dict[str, Any]]:
    """Make a conversation of one message."""
    return [
        {
            "role": "user",
            "content": "Find me the cheapest way from Oslo to Bergen next Friday, "
            "by train or by bus.",
        }
    ]


def client(name: str, base_url: str, bench_header: str, *, asynchronous: bool = False) -> Any:
    """Make a client; `bench_header` selects the server's reply (see `server`)."""
    plain = {**PLAIN, "base_url": base_url, "default_headers": {"x-bench": bench_header}}
    settings = adapter.Settings(backend="chat" if name == OFF else "responses")
    if name in (CLIENT, OFF):
        return (adapter.AsyncOpenAI if asynchronous else adapter.OpenAI)(**plain, settings=settings)
    if name == TRANSPORT and asynchronous:
        outer: Any = openai.DefaultAsyncHttpxClient(
            transport=adapter.AsyncTransport(settings=settings)
        )
        return openai.AsyncOpenAI(**plain, http_client=outer)
    if name == TRANSPORT:
        outer = openai.DefaultHttpxClient(transport=adapter.Transport(settings=settings))
        return openai.OpenAI(**plain, http_client=outer)
    return (openai.AsyncOpenAI if asynchronous else openai.OpenAI)(**plain)


def whole(name: str, made: Any, messages: list[dict[str, Any]]) -> Work:
    """Return a function that requests a whole answer."""
    if name == RESPONSES:
        items = [_item(message) for message in messages]
        return lambda: made.responses.create(model=MODEL, input=items, store=False)
    return lambda: made.chat.completions.create(model=MODEL, messages=messages)


def opened(name: str, made: Any, messages: Any = None) -> Any:
    """Open a stream, by default of a question; an async client returns a coroutine that does."""
    messages = messages or question()
    if name == RESPONSES:
        return made.responses.create(model=MODEL, input=messages, store=False, stream=True)
    return made.chat.completions.create(
        model=MODEL, messages=messages, stream=True, stream_options={"include_usage": True}
    )


def texts(name: str, stream: Any) -> Iterator[str]:
    """Yield the text deltas of a stream, as an application would."""
    for event in stream:
        if name == RESPONSES:
            if event.type == "response.output_text.delta":
                yield event.delta
        elif event.choices and event.choices[0].delta.content:
            yield event.choices[0].delta.content


async def read_async(name: str, stream: Any) -> str:
    """Return the text of an async stream."""
    out = ""
    async for event in await stream:
        if name == RESPONSES:
            if event.type == "response.output_text.delta":
                out += event.delta
        elif event.choices and event.choices[0].delta.content:
            out += event.choices[0].delta.content
    return out


def _item(message: dict[str, Any]) -> dict[str, Any]:
    if message["role"] == "tool":
        return {
            "type": "function_call_output",
            "call_id": message["tool_call_id"],
            "output": message["content"],
        }
    for call in message.get("tool_calls", ()):
        return {"type": "function_call", "call_id": call["id"], **call["function"]}
    return {"role": message["role"], "content": message["content"]}
