"""Citations, responses → chat (MAPPING §4.4)."""

from __future__ import annotations

from typing import Any, NamedTuple

from .ledger import Ledger
from .prose import Message


class Annotation(NamedTuple):
    """An annotation, with where its part begins in its message's text."""

    message: Message
    offset: int
    value: Any
    path: str


def annotation_to_chat(annotation: Annotation, ledger: Ledger, *, end: int | None = None) -> dict[str, Any] | None:
    """Nest a flat citation, shifted to where its part stands in the text; None where Chat has none like it.

    Positions count characters of their own part. `end` is where the text was cut, if it was: a citation that begins
    behind that is none, and one that reaches over it ends with the text.
    """
    message, offset, value, path = annotation
    if message.offset is None:
        return None  # its message isn't shown, and has an entry of its own
    shift = message.offset + offset
    inner = {key: inner for key, inner in value.items() if key != "type"} if isinstance(value, dict) else {}
    for key in ("start_index", "end_index"):
        if isinstance(inner.get(key), int):
            inner[key] += shift
    if end is not None:
        start = inner.get("start_index")
        if (start if isinstance(start, int) else shift) >= end:
            return None  # with the text that it is about
        if isinstance(inner.get("end_index"), int):
            inner["end_index"] = min(inner["end_index"], end)
    if not isinstance(value, dict) or value.get("type") != "url_citation":
        ledger.note(path, "dropped", "Chat has citations of web pages only")
        return None
    return {"type": "url_citation", "url_citation": inner}
