"""Answer a customer with the help of tools: the loop that every chat application has."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from .clients import MODEL, client
from .middleware import Message, Meter, prepared

ORDERS = {1042: {"order": 1042, "parcel": "LX-77"}}
PARCELS = {"LX-77": {"at": "Lyon", "expected": "Friday"}}


def find_order(order: int) -> dict[str, Any]:
    """Look an order up."""
    return ORDERS.get(order, {"error": "no such order"})


def track_parcel(parcel: str) -> dict[str, Any]:
    """Say where a parcel is."""
    return PARCELS.get(parcel, {"error": "no such parcel"})


TOOLS: dict[str, Callable[..., dict[str, Any]]] = {
    "find_order": find_order,
    "track_parcel": track_parcel,
}


def _definition(name: str, description: str, argument: str, kind: str) -> dict[str, Any]:
    parameters = {
        "type": "object",
        "properties": {argument: {"type": kind}},
        "required": [argument],
        "additionalProperties": False,
    }
    return {
        "type": "function",
        "function": {"name": name, "description": description, "parameters": parameters},
    }


DEFINITIONS = [
    _definition("find_order", "Look an order up by its number.", "order", "integer"),
    _definition("track_parcel", "Say where a parcel is.", "parcel", "string"),
]


def answer(history: list[Message], meter: Meter, most: int = 5) -> list[Message]:
    """Continue a conversation until the model has answered; return its new history."""
    history = list(history)
    for _ in range(most):
        completion = client().chat.completions.create(
            model=MODEL, messages=prepared(history), tools=DEFINITIONS, temperature=0
        )
        meter.add(completion)
        choice = completion.choices[0]
        said: Message = {"role": "assistant", "content": choice.message.content}
        if choice.message.tool_calls:
            said["tool_calls"] = [
                call.model_dump(exclude_none=True) for call in choice.message.tool_calls
            ]
        history.append(said)
        if choice.finish_reason != "tool_calls":
            return history
        for call in choice.message.tool_calls:
            done = TOOLS[call.function.name](**json.loads(call.function.arguments))
            history.append({"role": "tool", "tool_call_id": call.id, "content": json.dumps(done)})
    raise RuntimeError("the model calls tools without end")
