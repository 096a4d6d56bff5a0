"""Call the model for a text, whole and streamed, with a tool, and for data."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, Literal

from openai import AsyncOpenAI, OpenAI
from pydantic import BaseModel

MODEL = "gpt-4o-mini"
TRACK = {
    "type": "function",
    "function": {
        "name": "track",
        "description": "Find a parcel.",
        "parameters": {
            "type": "object",
            "properties": {"order": {"type": "integer"}},
            "required": ["order"],
        },
    },
}


class Ticket(BaseModel):
    """What a customer wants."""

    topic: Literal["parcel", "refund", "other"]
    urgent: bool


def asked(question: str) -> list[dict[str, Any]]:
    """Return the conversation that a question begins."""
    return [{"role": "system", "content": "Be brief."}, {"role": "user", "content": question}]


def answer(client: OpenAI, question: str) -> str:
    """Answer a question, and say what it took."""
    done = client.chat.completions.create(
        model=MODEL, messages=asked(question), temperature=0, user="desk"
    )
    tokens = done.usage.total_tokens if done.usage else "?"
    return f"{done.choices[0].message.content} [{done.id}, {tokens}]"


async def answer_async(client: AsyncOpenAI, question: str) -> str | None:
    """Answer a question."""
    done = await client.chat.completions.create(model=MODEL, messages=asked(question))
    return done.choices[0].message.content


def written(client: OpenAI, question: str) -> Iterator[str]:
    """Give an answer piece by piece, and why it ended."""
    with client.chat.completions.create(
        model=MODEL, messages=asked(question), stream=True
    ) as stream:
        for chunk in stream:
            if chunk.choices and chunk.choices[0].delta.content:
                yield chunk.choices[0].delta.content
            if chunk.choices and chunk.choices[0].finish_reason:
                yield f"[{chunk.choices[0].finish_reason}]"


async def written_async(client: AsyncOpenAI, question: str) -> AsyncIterator[str]:
    """Give an answer piece by piece."""
    stream = await client.chat.completions.create(
        model=MODEL, messages=asked(question), stream=True
    )
    async with stream:
        async for chunk in stream:
            if chunk.choices and chunk.choices[0].delta.content:
                yield chunk.choices[0].delta.content


def tracked(client: OpenAI, question: str, track: Callable[[int], str]) -> str | None:
    """Answer a question about parcels, which the model may look up."""
    messages = asked(question)
    while True:
        message = (
            client.chat.completions.create(model=MODEL, messages=messages, tools=[TRACK])
            .choices[0]
            .message
        )
        if not message.tool_calls:
            return message.content
        messages.append(
            message.model_dump(exclude_none=True, include={"role", "content", "tool_calls"})
        )
        for call in message.tool_calls:
            found = track(json.loads(call.function.arguments)["order"])
            messages.append({"role": "tool", "tool_call_id": call.id, "content": found})


def sorted_out(client: OpenAI, text: str) -> Ticket | None:
    """Find out what a customer wants."""
    done = client.beta.chat.completions.parse(
        model=MODEL, messages=asked(text), response_format=Ticket
    )
    return done.choices[0].message.parsed
