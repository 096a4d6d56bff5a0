"""A tool loop that keeps role, content and tool calls.

It runs against an API with encrypted reasoning.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from tests.support.answers import event, response
from tests.support.scenarios import as_history, merged
from tests.support.ways_in import Reply, Seen, Sent, WayIn

Item = dict[str, Any]
TOOL: Item = {
    "type": "function",
    "function": {"name": "look_up", "parameters": {"type": "object", "properties": {}}},
}


def reasoning(k: int | str, **more: Any) -> Item:
    """Make a reasoning item."""
    return {
        "type": "reasoning",
        "id": f"rs_{k}",
        "summary": [],
        "encrypted_content": f"gAAAA-{k}",
        **more,
    }


def random_id(k: int | str) -> str:
    """Return an unguessable call id like the API's own; always the same for the same `k`."""
    letters = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
    digest = hashlib.sha256(str(k).encode()).digest()
    return "call_" + "".join(letters[byte % len(letters)] for byte in digest[:24])


def call(
    k: int | str,
    arguments: str = '{"key": "value"}',
    *,
    call_id: str | None = None,
    name: str = "look_up",
) -> Item:
    """Make a function call item."""
    own = {
        "type": "function_call",
        "id": f"fc_{k}",
        "call_id": call_id or random_id(k),
        "status": "completed",
    }
    return {**own, "name": name, "arguments": arguments}


def custom(k: int | str, text: str = "free text") -> Item:
    """Make a custom tool call item."""
    return {
        "type": "custom_tool_call",
        "id": f"ctc_{k}",
        "call_id": random_id(k),
        "name": "shell",
        "input": text,
    }


def message_item(text: str, phase: str | None = "commentary") -> Item:
    """Make a message item."""
    part = {"type": "output_text", "text": text, "annotations": []}
    phases = {} if phase is None else {"phase": phase}
    return {
        "type": "message",
        "id": "msg_1",
        "role": "assistant",
        "status": "completed",
        "content": [part],
        **phases,
    }


def without_ids(items: Iterable[Item]) -> list[Item]:
    """Return items in the form in which they are put back."""
    return [{key: value for key, value in item.items() if key != "id"} for item in items]


def reasoning_items(output: Iterable[Item]) -> list[Item]:
    """Return the reasoning items of an output, in the form in which they are put back."""
    return without_ids(item for item in output if item["type"] == "reasoning")


def events(output: Sequence[Item], **more: Any) -> list[bytes]:
    """Stream an output.

    `added` has another encryption of each reasoning item than `done`
    (docs/wire-facts.md#reasoning-items).
    """
    parts = [
        event(
            "response.created",
            response=response(status="in_progress", usage=None, **more) | {"output": []},
        )
    ]
    for k, item in enumerate(output):
        parts += _item_events(k, item)
    return [*parts, event("response.completed", response=response(*output, **more))]


def _item_events(k: int, item: Item) -> list[bytes]:
    kind = item["type"]
    begun = {**item, "status": "in_progress"}
    middle: list[bytes] = []
    if kind == "reasoning":
        begun = {**item, "encrypted_content": "of-the-added-event"}
    elif kind == "message":
        begun["content"] = []
        text = item["content"][0]["text"]
        middle = [event("response.output_text.delta", output_index=k, content_index=0, delta=text)]
    elif "call_id" in item:
        written, base = (
            ("arguments", "function_call_arguments")
            if kind == "function_call"
            else ("input", "custom_tool_call_input")
        )
        begun[written], whole = "", item[written]
        cut = len(whole) // 2
        middle = [
            event(f"response.{base}.delta", output_index=k, delta=piece)
            for piece in (whole[:cut], whole[cut:])
        ]
        middle.append(event(f"response.{base}.done", output_index=k, **{written: whole}))
    added = event("response.output_item.added", output_index=k, item=begun)
    return [added, *middle, event("response.output_item.done", output_index=k, item=item)]


class Api:
    """Answer `/responses` with one output after the other, whole or streamed.

    It keeps the requests.
    """

    def __init__(self, *outputs: Sequence[Item], model: str = "gpt-5") -> None:
        self._outputs = list(outputs)
        self._model = model
        self.sent: list[Item] = []
        self.paths: list[str] = []

    def __call__(self, sent: Sent) -> Reply:
        """Answer one request."""
        body = sent.json()
        self.sent.append(body)
        self.paths.append(sent.path)
        output = self._outputs.pop(0)
        if body.get("stream"):
            return Reply.of_sse(events(output, model=self._model))
        return Reply.of_json(response(*output, model=self._model))


class Talk:
    """One conversation through one way in.

    Each turn calls, keeps the answer's fields of the specification, and answers every tool call.
    """

    def __init__(
        self,
        way_in: WayIn,
        api: Callable[[Sent], Reply],
        *,
        stream: bool = False,
        model: str = "gpt-5",
        **settings: Any,
    ) -> None:
        self.way_in, self.api, self.stream, self.settings = way_in, api, stream, settings
        self.history: list[Item] = [{"role": "user", "content": "Find out."}]
        self.body: Mapping[str, Any] = {"model": model, "tools": [TOOL]}
        self.seen: Seen | None = None

    def turn(self, **more: Any) -> Seen:
        """Take one turn; the answer is added to the history."""
        body = {**self.body, **more, "messages": list(self.history)}
        ask = self.way_in.stream if self.stream else self.way_in.create
        seen = self.seen = ask(body, self.api, **self.settings)
        seen.reraise()
        self.history += answered(
            merged(seen.chunks) if self.stream else as_history(seen.value.choices[0].message)
        )
        return seen

    def turns(self, count: int) -> None:
        """Take several turns."""
        for _ in range(count):
            self.turn()


def answered(message: Item) -> list[Item]:
    """Return a message, and an answer to each of its calls."""
    return [
        message,
        *(
            {"role": "tool", "tool_call_id": one["id"], "content": "ok"}
            for one in message.get("tool_calls", [])
        ),
    ]


def item_kinds(input_: Sequence[Item]) -> list[str]:
    """Return the kinds of the items of an input, abbreviated."""
    return [item.get("type") or item["role"] for item in input_]


def dumped(value: Any) -> str:
    """Return canonical JSON, for comparison."""
    return json.dumps(value, sort_keys=True)
