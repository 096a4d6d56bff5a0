"""What type checkers infer for `read()`.

`parsed` has the type of `output`, or the type that the SDK has parsed.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any, assert_type

import openai
from openai.types.chat import ChatCompletion, ChatCompletionChunk, ParsedChatCompletion
from openai.types.responses import ParsedResponse, Response, ResponseStreamEvent
from pydantic import BaseModel

from adapter import (
    Finished,
    TextDelta,
    ToolCall,
    ToolCallDone,
    Turn,
    Usage,
    read,
    tool_result,
    tools_for,
)
from adapter.reading import AsyncEvents, Event, Events


class Weather(BaseModel):
    """A response format."""

    celsius: int


def f(city: str) -> int:
    """A tool."""
    return len(city)


def results(completion: ChatCompletion, response: Response, body: dict[str, Any]) -> None:
    """Pass `output`."""
    assert_type(read(completion, output=Weather), Turn[Weather])
    assert_type(read(response, output=Weather, tools=[f, Weather]), Turn[Weather])
    assert_type(read(body, output=list[int]), Turn[list[int]])
    assert_type(read(completion).text, str)
    turn = read(response, output=Weather)
    assert_type(turn.parsed, Weather | None)
    assert_type(turn.usage, Usage | None)
    assert_type(turn.tool_calls, tuple[ToolCall, ...])
    if turn.parsed is not None:
        assert_type(turn.parsed.celsius, int)
    history = [
        turn.as_message(),
        *(tool_result(call, f(**call.parsed)).as_message() for call in turn.tool_calls),
    ]
    assert_type(history, list[dict[str, Any]])
    assert_type(tools_for("responses", [f, Weather]), list[dict[str, Any]])


def parsed(completion: ParsedChatCompletion[Weather], response: ParsedResponse[Weather]) -> None:
    """Rely on the SDK's parsing."""
    assert_type(read(completion), Turn[Weather])
    assert_type(read(response).parsed, Weather | None)
    assert_type(read(response, output=list[int]), Turn[list[int]])


def streams(
    chunks: openai.Stream[ChatCompletionChunk],
    events: Iterator[ResponseStreamEvent],
    lines: list[dict[str, Any]],
) -> None:
    """Read streams."""
    assert_type(read(chunks, output=Weather), Events[Weather])
    assert_type(read(lines, output=Weather), Events[Weather])
    with read(events, output=Weather, tools=[f]) as reading:
        for event in reading:
            assert_type(event, Event[Weather])
            match event:
                case TextDelta(text):
                    assert_type(text, str)
                case ToolCallDone(name, arguments, _):
                    assert_type((name, arguments), tuple[str, str])
                case Finished(turn):
                    assert_type(turn.parsed, Weather | None)
                case _:
                    pass


async def async_streams(
    chunks: openai.AsyncStream[ChatCompletionChunk], events: AsyncIterator[ResponseStreamEvent]
) -> None:
    """Read async streams."""
    assert_type(read(chunks, output=Weather), AsyncEvents[Weather])
    async with read(events, output=Weather) as reading:
        async for event in reading:
            if isinstance(event, Finished):
                assert_type(event.turn, Turn[Weather])


def helpers(client: openai.OpenAI) -> None:
    """Read the SDK's own helpers."""
    with client.chat.completions.stream(model="m", messages=[], response_format=Weather) as chunks:
        assert_type(read(chunks), Events[Weather])
    with client.responses.stream(model="m", input="…", text_format=Weather) as events:
        assert_type(read(events), Events[Weather])


def annotated(
    turn: Turn, event: Event, finished: Finished, events: Events, more: AsyncEvents
) -> list[Turn]:
    """No type arguments are needed where nothing is parsed."""
    assert_type(turn.parsed, Any | None)
    assert_type(Turn(text="…", tool_calls=(ToolCall("call_1", "f", "{}"),)).text, str)
    assert_type(finished.turn, Turn[Any])
    assert_type(next(events), Event[Any])
    del event, more
    return [turn, Turn()]
