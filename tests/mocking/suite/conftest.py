"""The replies of the mocks, and the clients."""

from __future__ import annotations

import importlib
import json
from functools import cache
from typing import Any

import openai
import pytest

import adapter

URL = "https://api.openai.com/v1/chat/completions"
SDKS = "httpx2" if int(openai.VERSION.partition(".")[0]) >= 3 else "httpx"


def completion(
    content: str | None = "Soon.", *, finish: str = "stop", **message: Any
) -> dict[str, Any]:
    """Return a completion, as a team would write one."""
    return {
        "id": "chatcmpl-123",
        "object": "chat.completion",
        "created": 1700000000,
        "model": "gpt-4o-mini",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": content, **message},
                "finish_reason": finish,
            }
        ],
        "usage": {"prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 11},
    }


def calls(**arguments: int) -> dict[str, Any]:
    """Return a completion with a tool call for each argument: call id and number of an order."""
    made = [
        {
            "id": call,
            "type": "function",
            "function": {"name": "track", "arguments": json.dumps({"order": order})},
        }
        for call, order in arguments.items()
    ]
    return completion(None, finish="tool_calls", tool_calls=made)


def pieces(*texts: str) -> list[bytes]:
    """Return the events of a stream, without its end."""
    deltas = [{"role": "assistant", "content": ""}, *({"content": text} for text in texts)]
    return [event([{"index": 0, "delta": delta, "finish_reason": None}]) for delta in deltas]


def event(choices: list[dict[str, Any]]) -> bytes:
    """Return a chunk as it stands in a stream."""
    chunk = {
        "id": "chatcmpl-123",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "gpt-4o-mini",
    }
    return b"data: " + json.dumps({**chunk, "choices": choices}).encode() + b"\n\n"


ENDING = [event([{"index": 0, "delta": {}, "finish_reason": "stop"}]), b"data: [DONE]\n\n"]
STREAM = {"content-type": "text/event-stream"}
LIMITED = {
    "error": {
        "message": "Slow down.",
        "type": "requests",
        "param": None,
        "code": "rate_limit_exceeded",
    }
}
UNKNOWN = {
    "error": {
        "message": "Incorrect API key provided.",
        "type": "invalid_request_error",
        "param": None,
        "code": "invalid_api_key",
    }
}
NO_MODEL = {
    "error": {
        "message": "The model `x` does not exist.",
        "type": "invalid_request_error",
        "param": None,
        "code": "model_not_found",
    }
}


@cache
def client_of(library: str, **more: Any) -> Any:
    """Make a client once, as a service does; mocks that start later apply to it as well."""
    return made(library, **more)


def made(library: str, *, asynchronous: bool = False, **more: Any) -> Any:
    """Make a client over an HTTP library: the SDK's own, or the one that it takes as well."""
    if library != SDKS and "http_client" not in more:
        found = importlib.import_module(library)
        more["http_client"] = (found.AsyncClient if asynchronous else found.Client)()
    return (adapter.AsyncOpenAI if asynchronous else adapter.OpenAI)(
        api_key="unused", base_url="https://api.openai.com/v1", **more
    )


@pytest.fixture
def anyio_backend() -> str:
    """Run async tests on asyncio."""
    return "asyncio"


@pytest.fixture
def parcels() -> dict[int, str]:
    """Say where the parcels are."""
    return {1042: "in Ghent", 1043: "lost"}
