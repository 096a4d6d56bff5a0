"""Read output items in the forms that servers write them, for whole replies and for streams.

Obvious values of another type are converted (a string for a message's content, an object for a
call's arguments). What can't be read is an error: without it, the answer would look whole.
"""

from __future__ import annotations

import json
from typing import Any, Literal, NamedTuple

from adapter.errors import MalformedReply
from adapter.translation.equality import same_text
from adapter.translation.json_types import json_type

from .call_types import CALL_KINDS, CALL_TYPES

FINAL = "final_answer"
"""The phase of messages that are the answer, as are those without a phase."""

# dialect: several (tool calls in the form of another API)
_FOREIGN_CALL_TYPES = frozenset({"tool_call", "tool_calls", "tool_use"})
_NESTED_CALL_TYPES = _FOREIGN_CALL_TYPES.union(CALL_TYPES)
_TEXT_TYPES: dict[str, tuple[Literal["text", "refusal"], str]] = {
    "output_text": ("text", "text"),
    "text": ("text", "text"),  # dialect: several
    "refusal": ("refusal", "refusal"),
}


class Part(NamedTuple):
    """A part of a message: its kind (None if Chat has no such part), its text, and all of it."""

    kind: Literal["text", "refusal"] | None
    text: str
    given: dict[str, Any]


def is_commentary(item: dict[str, Any]) -> bool:
    """Return whether a message is commentary: it has a phase other than `final_answer`."""
    return item.get("phase") not in (None, "", FINAL)


def check_items(output: list[Any]) -> None:
    """Raise MalformedReply unless all items are objects that can be read."""
    for i, item in enumerate(output):
        if not isinstance(item, dict):
            raise MalformedReply(f"output[{i}]", f"expected an object, got {json_type(item)}")
        check_kind(f"output[{i}]", item)


def check_kind(path: str, item: dict[str, Any]) -> None:
    """Raise MalformedReply for a tool call in the form of another API."""
    kind = item.get("type")
    if isinstance(kind, str) and kind in _FOREIGN_CALL_TYPES:
        raise MalformedReply(f"{path}.type", "a tool call in the form of another API")


def object_in(event: dict[str, Any], key: str) -> dict[str, Any]:
    """Return `event[key]`; raise MalformedReply unless it is an object."""
    value = event.get(key)
    if not isinstance(value, dict):
        raise MalformedReply(key, f"expected an object, got {json_type(value)}")
    return value


def parts_of(path: str, item: dict[str, Any]) -> list[Part]:
    """Read the content of a message."""
    for key in ("tool_calls", "function_call"):
        if item.get(key):
            raise MalformedReply(f"{path}.{key}", "a call inside a message")
    content = item.get("content")
    if content is None:
        return []
    if isinstance(content, str):  # dialect: several
        return [Part("text", content, {"type": "output_text", "text": content})]
    if not isinstance(content, list):
        raise MalformedReply(f"{path}.content", f"expected an array, got {json_type(content)}")
    return [part_of(f"{path}.content[{p}]", part) for p, part in enumerate(content)]


def part_of(path: str, part: Any) -> Part:
    """Read one content part."""
    if not isinstance(part, dict):
        raise MalformedReply(path, f"expected an object, got {json_type(part)}")
    kind = part.get("type")
    if kind is None and isinstance(part.get("text"), str):
        kind = "text"  # dialect: several (no type)
    if not isinstance(kind, str) or kind not in _TEXT_TYPES:
        if isinstance(kind, str) and kind in _NESTED_CALL_TYPES:
            raise MalformedReply(path, "a call inside a message")
        return Part(None, "", part)
    of, key = _TEXT_TYPES[kind]
    return Part(of, text_of(f"{path}.{key}", part.get(key)) or "", part)


def text_of(path: str, value: Any) -> str | None:
    """Return `value`, a string or None; raise MalformedReply for anything else."""
    if value is not None and not isinstance(value, str):
        raise MalformedReply(path, f"expected a string, got {json_type(value)}")
    return value


def payload_of(path: str, value: Any) -> str | None:
    """Return a call's arguments or input, None if absent; an object is encoded as JSON."""
    if isinstance(value, dict):  # dialect: several
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return text_of(path, value)


def name_of(value: Any) -> str | None:
    """Return a name or an id; None if it is empty or not a string."""
    return value if isinstance(value, str) and value else None


def call_id_of(item: dict[str, Any]) -> str | None:
    """Return the `call_id` of a finished call."""
    # dialect: several (`id` and no `call_id`)
    return name_of(item.get("call_id")) or name_of(item.get("id"))


def is_empty_payload(payload: str, *, as_json: bool) -> bool:
    """Return whether a call has no arguments."""
    return not payload or (as_json and payload.strip() == "{}")


def longer_of(path: str, first: dict[str, Any], again: dict[str, Any]) -> dict[str, Any]:
    """Return the one of two Chat tool calls with the same id that has arguments.

    Raises MalformedReply if they are different calls (docs/decisions.md#repeated-call-ids).
    """
    kind = first["type"]
    if again["type"] == kind and again[kind]["name"] == first[kind]["name"]:
        key, as_json = CALL_KINDS[kind].payload, CALL_KINDS[kind].is_json
        one, other = first[kind][key], again[kind][key]
        if is_empty_payload(other, as_json=as_json) or same_text(one, other, as_json=as_json):
            return first
        if is_empty_payload(one, as_json=as_json):
            return again
    raise MalformedReply(f"{path}.call_id", "the call_id is used by another call")
