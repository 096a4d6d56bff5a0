"""Citations, responses → chat (docs/mapping.md#annotations)."""

from __future__ import annotations

from typing import Any, NamedTuple

from adapter.translation.ledger import Ledger
from adapter.translation.objects.message_text import MessageText


class Annotation(NamedTuple):
    """An annotation, with where its part begins in its message's text."""

    message: MessageText
    offset: int
    value: Any
    path: str


def shift_annotation(annotation: Annotation) -> dict[str, Any] | None:
    """Shift a citation to where its part stands in the text that the caller reads; None where its message isn't shown.

    Positions count characters of their own part.
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
    """Nest a flat citation, shifted to where its part stands in the text; None where Chat has none like it.

    `end` is where the text was cut, if it was: a citation that begins behind that is none, and one that reaches over it ends with
    the text.
    """
    message, offset, value, path = annotation
    if message.offset is None:
        return None  # its message isn't shown, and has an entry of its own
    found = shift_annotation(annotation) or {}
    inner = {key: inner for key, inner in found.items() if key != "type"}
    if end is not None:
        start = inner.get("start_index")
        if (start if isinstance(start, int) else message.offset + offset) >= end:
            return None  # with the text that it is about
        if isinstance(inner.get("end_index"), int):
            inner["end_index"] = min(inner["end_index"], end)
    if not isinstance(value, dict) or value.get("type") != "url_citation":
        ledger.add(path, "dropped", "Chat has citations of web pages only")
        return None
    return {"type": "url_citation", "url_citation": inner}
