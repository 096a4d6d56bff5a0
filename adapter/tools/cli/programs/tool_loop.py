"""Hold a conversation with tools, and move it between the APIs while it goes on.

The history is what a Chat Completions application keeps: role, content, tool_calls. `converse`
takes the backend that the flag names for each request, and sends the same growing history to it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Literal

from openai.types.chat import ChatCompletion

from adapter import OpenAI, use

Backend = Literal["chat", "responses"]


def _tool(name: str, description: str, argument: str, kind: str) -> dict[str, Any]:
    schema = {
        "type": "object",
        "properties": {argument: {"type": kind}},
        "required": [argument],
        "additionalProperties": False,
    }
    function = {"name": name, "description": description, "parameters": schema, "strict": True}
    return {"type": "function", "function": function}


TOOLS = [
    _tool("find_order", "Look an order up by its number.", "order", "integer"),
    _tool("track_parcel", "Say where a parcel is.", "parcel", "string"),
]
QUESTIONS = ["Where is my order 1042?", "Thanks! Could it come on Saturday instead?"]


def find_order(order: int) -> dict[str, Any]:
    """Look an order up, in a shop of one order."""
    return {"order": order, "status": "shipped", "parcel": "LX-77"}


def track_parcel(parcel: str) -> dict[str, Any]:
    """Say where a parcel is."""
    return {"parcel": parcel, "at": "Lyon", "expected": "Friday"}


def converse(flags: Sequence[Backend]) -> list[ChatCompletion]:
    """Ask both questions, answer the model's calls, and return every completion.

    `flags` has one backend for each request.
    """
    client = OpenAI()
    functions = {"find_order": find_order, "track_parcel": track_parcel}
    history: list[Any] = []
    completions: list[ChatCompletion] = []
    waiting = list(QUESTIONS)
    for backend in flags:
        if not history or history[-1]["role"] == "assistant":
            history.append({"role": "user", "content": waiting.pop(0)})
            print(f"user: {history[-1]['content']}")
        with use(backend=backend):
            completion = client.chat.completions.create(
                model="gpt-5.2",
                messages=history,
                tools=TOOLS,  # type: ignore[arg-type]
            )
        completions.append(completion)
        message = completion.choices[0].message
        turn: dict[str, Any] = {"role": "assistant", "content": message.content or None}
        if message.content and message.content.strip():
            print(f"assistant: {message.content}")
        if message.tool_calls:
            turn["tool_calls"] = [
                call.model_dump(include={"id", "type", "function"}) for call in message.tool_calls
            ]
        history.append(turn)
        for call in message.tool_calls or []:
            assert call.type == "function"
            arguments = json.loads(call.function.arguments)
            result = functions[call.function.name](**arguments)  # type: ignore[operator]
            print(f"{call.function.name}({call.function.arguments}) = {json.dumps(result)}")
            history.append({"role": "tool", "tool_call_id": call.id, "content": json.dumps(result)})
    return completions
