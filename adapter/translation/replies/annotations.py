"""Citations, Responses → Chat (docs/mapping.md#annotations)."""

from __future__ import annotations

from typing import Any, NamedTuple

from adapter.translation.ledger import Ledger
from adapter.translation.objects.message_text import MessageText


class Annotation(NamedTuple):
    """An annotation of a part that begins at `offset` in its message's text."""

    message: MessageText
    offset: int
    value: Any
    path: str


def shift_annotation(annotation: Annotation) -> dict[str, Any] | None:
    """Shift a citation's positions from its part to the caller's text, in characters.

    None if its message isn't shown.
    """
    message, offset, value, _ = annotation
    if message.offset is None or not isinstance(value, dict):
        return None
    shift = message.offset + offset
    shifted = {
        key: value[key] + shift
        for key in ("start_index", "end_index")
        if isinstance(value.get(key), int)
    }
    return value | shifted


def annotation_to_chat(
    annotation: Annotation, ledger: Ledger, *, end: int | None = None
) -> dict[str, Any] | None:
    """Nest a flat citation, with positions in the caller's text; None if Chat has no such citation.

    `end`: where the text was cut. A citation that begins after it is left out, and one that extends
    beyond it ends there.
    """
    message, offset, value, path = annotation
    if message.offset is None:
        return None  # the message isn't shown, and has its own entry
    found = shift_annotation(annotation) or {}
    inner = {key: inner for key, inner in found.items() if key != "type"}
    if end is not None:
        start = inner.get("start_index")
        if (start if isinstance(start, int) else message.offset + offset) >= end:
            return None
        if isinstance(inner.get("end_index"), int):
            inner["end_index"] = min(inner["end_index"], end)
    if not isinstance(value, dict) or value.get("type") != "url_citation":
        ledger.add(path, "dropped", "Chat supports url_citation only")
        return None
    return {"type": "url_citation", "url_citation": inner}
