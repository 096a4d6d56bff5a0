"""Draft a reply for the agent's screen, as it is written."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

from .clients import MODEL, async_client, client
from .middleware import prepared


def draft(ticket: str) -> Iterator[str]:
    """Yield the draft in pieces, then its finish reason and tokens: `[stop, 42 tokens]`."""
    stream = client().chat.completions.create(
        model=MODEL,
        messages=prepared([{"role": "user", "content": f"Draft a reply to: {ticket}"}]),
        stream=True,
        stream_options={"include_usage": True},
    )
    finish = tokens = None
    for chunk in stream:
        if chunk.usage is not None:
            tokens = chunk.usage.completion_tokens
        for choice in chunk.choices:
            finish = choice.finish_reason or finish
            if choice.delta.content:
                yield choice.delta.content
    yield f" [{finish}, {tokens} tokens]"


async def draft_async(ticket: str) -> AsyncIterator[str]:
    """Yield the draft in pieces."""
    async with async_client() as client:
        stream = await client.chat.completions.create(
            model=MODEL,
            messages=prepared([{"role": "user", "content": f"Draft a reply to: {ticket}"}]),
            stream=True,
        )
        async for chunk in stream:
            if chunk.choices and chunk.choices[0].delta.content:
                yield chunk.choices[0].delta.content
