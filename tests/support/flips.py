"""One conversation of 12 turns with tools, in which the flag may flip at every turn.

Each turn is one call of the model: finding and tracking orders, the weather of one city and of two
at once, text in between, whole and streamed alternately. The application keeps only `role`,
`content` and `tool_calls`.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager
from typing import Any, Literal

from tests.support.scenarios import (
    ANSWERS,
    FIND_ORDER,
    ROOT,
    TRACK_PARCEL,
    WEATHER,
    as_history,
    merged,
    user,
)

Side = Literal["chat", "responses"]
Flag = Callable[[Side], AbstractContextManager[object]]
"""How a turn sets the flag."""

ARMS: dict[str, tuple[Side, Side]] = {
    "chat": ("chat", "chat"),
    "responses": ("responses", "responses"),
    "chat_first": ("chat", "responses"),
    "responses_first": ("responses", "chat"),
}
"""The backends of the turns: without a flip, and with one at every turn."""

TURNS = 12
QUESTIONS = (
    "Where is my order 1042?",  # three turns: find, track, report
    "Could it come on Saturday instead?",  # one
    "What is the weather in Paris?",  # two
    "Say hello.",  # one
    "The weather in both Lima and Oslo?",  # two, the first with two calls
    "Where is my order 1042?",  # three
)
TOOLS = [FIND_ORDER, TRACK_PARCEL, WEATHER]

Talk = Generator[dict[str, Any], Any, list[dict[str, Any]]]


def cassette(arm: str) -> Any:
    """Return the path of an arm's cassette."""
    return ROOT / "flips" / f"{arm}.yaml"


def talk() -> Talk:
    """Run the conversation; return its whole history."""
    history: list[dict[str, Any]] = []
    turn = 0
    for question in QUESTIONS:
        history += user(question)
        while history[-1]["role"] != "assistant":
            more: dict[str, Any] = {"stream": True} if turn % 3 == 2 else {}
            result = yield {"model": "tiny", "messages": list(history), "tools": TOOLS, **more}
            turn += 1
            entry = (
                merged(result)
                if isinstance(result, list)
                else as_history(result.choices[0].message)
            )
            history.append(entry)
            for call in entry.get("tool_calls", []):
                answer = {
                    "role": "tool",
                    "tool_call_id": call["id"],
                    "content": ANSWERS[call["function"]["name"]],
                }
                history.append(answer)
    assert turn == TURNS
    return history


def hold(client: Any, arm: str, flag: Flag) -> list[dict[str, Any]]:
    """Run the conversation with a sync client, the flag flipped as the arm says."""
    going, turn = talk(), 0
    body = next(going)
    try:
        while True:
            with flag(ARMS[arm][turn % 2]):
                result = client.chat.completions.create(**body)
            turn += 1
            body = going.send(list(result) if body.get("stream") else result)
    except StopIteration as stop:
        history: list[dict[str, Any]] = stop.value
        return history


async def hold_async(client: Any, arm: str, flag: Flag) -> list[dict[str, Any]]:
    """Run the conversation with an async client."""
    going, turn = talk(), 0
    body = next(going)
    try:
        while True:
            with flag(ARMS[arm][turn % 2]):
                sent = client.chat.completions.create(**body)
                result = await sent if inspect.isawaitable(sent) else sent
            turn += 1
            body = going.send([chunk async for chunk in result] if body.get("stream") else result)
    except StopIteration as stop:
        history: list[dict[str, Any]] = stop.value
        return history


def state(history: list[dict[str, Any]]) -> str:
    """Return a history with its call ids numbered in order.

    Servers make new ids each time.
    """
    numbers: dict[str, str] = {}

    def number(call_id: str) -> str:
        return numbers.setdefault(call_id, f"call-{len(numbers)}")

    plain: list[dict[str, Any]] = []
    for message in history:
        one = dict(message)
        if "tool_calls" in one:
            one["tool_calls"] = [
                {**call, "id": number(call["id"]), "function": _plain(call["function"])}
                for call in one["tool_calls"]
            ]
        if "tool_call_id" in one:
            one["tool_call_id"] = number(one["tool_call_id"])
        plain.append(one)
    return json.dumps(plain, sort_keys=True, indent=1)


def _plain(function: dict[str, Any]) -> dict[str, Any]:
    # The same JSON: llama.cpp writes different spaces in arguments on its two APIs.
    return {"name": function["name"], "arguments": json.loads(function["arguments"])}
