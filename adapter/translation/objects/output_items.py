"""Output items as servers write them: the values that Chat has a place for.

Read once for whole replies and for streams. What is plain in another type is converted (a string for a
message's content, an object for a call's arguments). What can't be read is an error: it must not look
like an answer without it.
"""

from __future__ import annotations

import json
from typing import Any, Literal, NamedTuple

from adapter.errors import MalformedReply
from adapter.translation.equality import same_text
from adapter.translation.json_types import json_type

FINAL = "final_answer"
"""The phase of messages that are the answer; those without a phase are as well."""

CALL_TYPES = frozenset({"function_call", "custom_tool_call"})
_FOREIGN_CALL_TYPES = frozenset({"tool_call", "tool_calls", "tool_use"})
_NESTED_CALL_TYPES = CALL_TYPES | _FOREIGN_CALL_TYPES
_TEXT_TYPES: dict[str, tuple[Literal["text", "refusal"], str]] = {
    "output_text": ("text", "text"),
    "text": ("text", "text"),  # as some servers call it
    "refusal": ("refusal", "refusal"),
}


class Part(NamedTuple):
    """A part of a message: its kind (None where Chat has none like it), its text and the whole of it."""

    kind: Literal["text", "refusal"] | None
    text: str
    given: dict[str, Any]


def is_commentary(item: dict[str, Any]) -> bool:
    """Tell whether a message isn't the answer: it has a phase, and not that of answers."""
    return item.get("phase") not in (None, "", FINAL)


def check_items(output: list[Any]) -> None:
    """Raise MalformedReply unless all items are objects."""
    for i, item in enumerate(output):
        if not isinstance(item, dict):
            raise MalformedReply(f"output[{i}]", f"expected an object, got {json_type(item)}")
        check_kind(f"output[{i}]", item)


def check_kind(path: str, item: dict[str, Any]) -> None:
    """Raise MalformedReply for a call in another API's form: without it the answer would look whole."""
    kind = item.get("type")
    if isinstance(kind, str) and kind in _FOREIGN_CALL_TYPES:
        raise MalformedReply(f"{path}.type", "a call of another API's kind")


def object_in(event: dict[str, Any], key: str) -> dict[str, Any]:
    """Return the object that an event holds. Raises MalformedReply where it is none."""
    value = event.get(key)
    if not isinstance(value, dict):
        raise MalformedReply(key, f"expected an object, got {json_type(value)}")
    return value


def parts_of(path: str, item: dict[str, Any]) -> list[Part]:
    """Read a message's content."""
    for key in ("tool_calls", "function_call"):
        if item.get(key):
            raise MalformedReply(f"{path}.{key}", "a call inside a message")
    content = item.get("content")
    if content is None:
        return []
    if isinstance(content, str):
        return [Part("text", content, {"type": "output_text", "text": content})]
    if not isinstance(content, list):
        raise MalformedReply(f"{path}.content", f"expected an array, got {json_type(content)}")
    return [part_of(f"{path}.content[{p}]", part) for p, part in enumerate(content)]


def part_of(path: str, part: Any) -> Part:
    """Read a part of a message."""
    if not isinstance(part, dict):
        raise MalformedReply(path, f"expected an object, got {json_type(part)}")
    kind = part.get("type")
    if kind is None and isinstance(part.get("text"), str):
        kind = "text"  # what else should it be
    if not isinstance(kind, str) or kind not in _TEXT_TYPES:
        if isinstance(kind, str) and kind in _NESTED_CALL_TYPES:
            raise MalformedReply(path, "a call inside a message")
        return Part(None, "", part)
    of, key = _TEXT_TYPES[kind]
    return Part(of, text_of(f"{path}.{key}", part.get(key)) or "", part)


def text_of(path: str, value: Any) -> str | None:
    """Return a text, or None where there is none."""
    if value is not None and not isinstance(value, str):
        raise MalformedReply(path, f"expected a string, got {json_type(value)}")
    return value


def payload_of(path: str, value: Any) -> str | None:
    """Return a call's arguments or input, or None where there is none; an object is written as JSON."""
    if isinstance(value, dict):
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return text_of(path, value)


def name_of(value: Any) -> str | None:
    """Return a name or an id; an empty one is none."""
    return value if isinstance(value, str) and value else None


def call_id_of(item: dict[str, Any]) -> str | None:
    """Return the id under which a finished call is answered; servers that have but one id write that."""
    return name_of(item.get("call_id")) or name_of(item.get("id"))


def is_empty_payload(payload: str, kind: str) -> bool:
    """Tell whether a call says nothing for its tool."""
    return not payload or (kind == "function" and payload.strip() == "{}")


def longer_of(path: str, first: dict[str, Any], again: dict[str, Any]) -> dict[str, Any]:
    """Return one of two tool calls of Chat's with the same id: that with the longer arguments.

    Raises MalformedReply where they are two calls.
    """
    kind = first["type"]
    key = "input" if kind == "custom" else "arguments"
    if again["type"] == kind and again[kind]["name"] == first[kind]["name"]:
        one, other = first[kind][key], again[kind][key]
        if is_empty_payload(other, kind) or same_text(one, other, as_json=kind == "function"):
            return first
        if is_empty_payload(one, kind):
            return again
    raise MalformedReply(f"{path}.call_id", "the id of another call")
