"""The neutral shape of one answer, the same from either API."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic

from adapter.translation import identifiers
from adapter.translation.objects.call_types import CALL_TYPES
from adapter.translation.objects.content_parts import assistant_item, output_text, refusal
from adapter.translation.objects.tool_calls import call_item, tool_call

from .sdk_objects import as_json, fields
from .types import Citation, ToolCall, Usage, call_type_for

if TYPE_CHECKING:
    from typing_extensions import TypeVar

    T = TypeVar("T", default=Any)
    T_co = TypeVar("T_co", covariant=True, default=Any)
else:  # `typing.TypeVar` has no default before Python 3.13; only type checkers need it
    from typing import TypeVar

    T = TypeVar("T")
    T_co = TypeVar("T_co", covariant=True)


@dataclass(frozen=True, slots=True, repr=False)
class Turn(Generic[T_co]):
    """One answer, the same from either API, streamed or not.

    `text` is the whole visible text, "" if there is none; `refusal` and `reasoning_summary` are
    None if there is none. `parsed` is the text as the type given as `output`; if the text doesn't
    fit, it is None and `problem` says why. `finish` is Chat's finish reason; it is `tool_calls`
    whenever there are calls and the answer wasn't truncated. `id` is the API's own. `raw` is the
    source: the completion, the Response (of a stream, the finished one) or, for a stream of chunks,
    a dict of the completion that they make; `==` ignores it. All fields have defaults, for turns
    in tests.
    """

    text: str = ""
    refusal: str | None = None
    parsed: T_co | None = field(default=None, hash=False)
    tool_calls: tuple[ToolCall, ...] = ()
    citations: tuple[Citation, ...] = ()
    reasoning_summary: str | None = None
    finish: str = "stop"
    usage: Usage | None = None
    id: str = ""
    model: str = ""
    raw: Any = field(default=None, compare=False)
    problem: str | None = None

    def as_message(self) -> dict[str, Any]:
        """Return this turn as a message for Chat's `messages`."""
        return assistant_message(self)

    def as_items(self) -> list[dict[str, Any]]:
        """Return this turn as items for the Responses API's `input`.

        The items of a Response are its messages and calls, with their phases, and the reasoning
        before them if it is encrypted (`include=["reasoning.encrypted_content"]`). They have no
        ids, so that they work with `store=False`. Items of hosted tools are left out; `raw` has
        them.
        """
        return input_items(self)

    def __reduce__(self) -> tuple[Any, ...]:
        # The SDK's parsed results can't be pickled, so a copy has `raw` as JSON.
        values = {one.name: getattr(self, one.name) for one in dataclasses.fields(self)}
        return Turn, tuple({**values, "raw": as_json(self.raw)}.values())

    def __repr__(self) -> str:
        parts = [f"{len(self.text)} characters"]
        parts += ["a refusal"] if self.refusal is not None else []
        parts += [f"{len(self.tool_calls)} tool calls"] if self.tool_calls else []
        return f"Turn(finish={self.finish!r}, {', '.join(parts)})"


Entry = dict[str, Any]


def assistant_message(turn: Turn[Any]) -> Entry:
    """Make an assistant message; without text, but with calls or a refusal, content is null."""
    made: Entry = {"role": "assistant", "content": turn.text}
    if not turn.text and (turn.tool_calls or turn.refusal):
        made["content"] = None
    if turn.refusal:
        made["refusal"] = turn.refusal
    calls = [
        tool_call(call_type_for(call.type), call.id, call.name, call.arguments)
        for call in turn.tool_calls
        if call.type != "function_call"
    ]
    if calls:
        made["tool_calls"] = calls
    for call in turn.tool_calls:
        if call.type == "function_call":
            made["function_call"] = {"name": call.name, "arguments": call.arguments}
    return made


def input_items(turn: Turn[Any]) -> list[Entry]:
    """Make input items from the items of the Response in `raw`, if any, else from the turn."""
    output = fields(turn.raw).get("output")
    kept = [_input_item(as_json(item)) for item in output] if isinstance(output, list) else []
    while kept and (kept[-1] is None or kept[-1]["type"] == "reasoning"):
        # Reasoning without the item after it is refused (docs/edge-cases.md#both-or-neither).
        kept.pop()
    own = [item for item in kept if item is not None]
    if own:
        return own
    parts = [output_text(turn.text)] if turn.text or not (turn.refusal or turn.tool_calls) else []
    parts += [refusal(turn.refusal)] if turn.refusal else []
    items = [assistant_item(parts)] if parts else []
    for call in turn.tool_calls:
        call_id = call_id_of(call.id, call.name)
        items.append(call_item(call_type_for(call.type), call_id, call.name, call.arguments))
    return items


def call_id_of(id_: str, name: str) -> str:
    """Return the `call_id` of a call for the Responses API's `input`."""
    return identifiers.call_id(
        id_ or f"call_{name}"
    )  # the deprecated form has no id, and only one call


def _input_item(item: Any) -> Entry | None:
    """Convert an output item to an input item; return None if it can't be sent back."""
    match item:
        case {"type": "message", "content": [_, *_] as content}:
            parts = [part for part in map(_output_part, content) if part is not None]
            made = assistant_item(parts)
            if item.get("phase") is not None:
                made["phase"] = item["phase"]
            return made if parts else None
        case {"type": str(kind)} if kind in CALL_TYPES:
            call_id = identifiers.call_id(str(item.get("call_id") or item.get("id")))
            keys = ("name", "namespace", CALL_TYPES[kind].payload)
            made = {"type": kind, "call_id": call_id}
            return made | {key: item[key] for key in keys if item.get(key) is not None}
        case {"type": "reasoning", "encrypted_content": str(encrypted)} if encrypted:
            return {
                "type": "reasoning",
                "summary": item.get("summary") or [],
                "encrypted_content": encrypted,
            }
    return None


def _output_part(part: Any) -> Entry | None:
    match part:
        case {"type": "output_text", "text": str(text)}:
            return output_text(text)
        case {"type": "refusal", "refusal": str(text)}:
            return refusal(text)
    return None
