"""The clients of this process, made once; their address and key are the environment's."""

from __future__ import annotations

from functools import cache

from adapter import AsyncOpenAI, OpenAI

MODEL = "tiny"


@cache
def client() -> OpenAI:
    """Return the client."""
    return OpenAI(max_retries=0)


def async_client() -> AsyncOpenAI:
    """Make a client for one event loop."""
    return AsyncOpenAI(max_retries=0)
