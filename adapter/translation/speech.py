"""What one choice says: text, refusal, annotations and logprobs out of a Response's items."""

from __future__ import annotations

from typing import Any, NamedTuple

from .draft import Asked
from .ledger import Ledger
from .logprobs import logprobs_to_chat
from .prose import Message, Piece, Prose


class _Annotation(NamedTuple):
    message: Message
    offset: int  # of its part in the message
    value: Any
    path: str


class Speech:
    """Collect whole messages; afterwards `text`, `refusal`, `logprobs` and `annotations()` are what the caller reads."""

    def __init__(self, asked: Asked, ledger: Ledger) -> None:
        self._asked = asked
        self._ledger = ledger
        self._prose = Prose(ledger, first_only=asked.json_format)
        self._refusals = Prose(ledger)
        self._annotations: list[_Annotation] = []
        self.text = ""
        self.refusal = ""
        self.logprobs: list[dict[str, Any]] = []
        self.spoke = False

    def message(self, path: str, item: dict[str, Any]) -> None:
        """Take a message item."""
        commentary = item.get("phase") == "commentary"
        text, refusal = Message(path, commentary), Message(path, commentary)
        content = item.get("content")
        for p, part in enumerate(content if isinstance(content, list) else ()):
            kind = part.get("type") if isinstance(part, dict) else None
            if kind == "output_text":
                self.annotate(text, f"{path}.content[{p}]", part.get("annotations"))
                if isinstance(part.get("text"), str) and part["text"]:
                    entries = logprobs_to_chat(part.get("logprobs")) if self._asked.logprobs else []
                    self._say(self._prose.write(text, part["text"], entries))
            elif kind == "refusal":
                if isinstance(part.get("refusal"), str) and part["refusal"]:
                    self._refuse(self._refusals.write(refusal, part["refusal"], []))
            else:
                self._ledger.note(f"{path}.content[{p}]", "dropped", "Chat has no content of this type")
        self._say(self._prose.end())
        self._refuse(self._refusals.end())

    def annotate(self, message: Message, path: str, annotations: Any) -> None:
        """Take the annotations of the part that begins where the message's text ends now."""
        for a, value in enumerate(annotations if isinstance(annotations, list) else ()):
            self._annotations.append(_Annotation(message, len(message.written), value, f"{path}.annotations[{a}]"))

    def call(self) -> None:
        """Note that a call follows."""
        self._say(self._prose.call())
        self._refuse(self._refusals.call())

    def finish(self) -> None:
        """Note that the answer is complete."""
        self._say(self._prose.finish())
        self._refuse(self._refusals.finish())

    def annotations(self) -> list[dict[str, Any]]:
        """Return the annotations of what is shown, in Chat's shape, with positions in the text that the caller reads."""
        found = (annotation_to_chat(a.value, a.message, a.offset, a.path, self._ledger) for a in self._annotations)
        return [annotation for annotation in found if annotation is not None]

    def _say(self, pieces: list[Piece]) -> None:
        for piece in pieces:
            self.spoke = True
            self.text += piece.text
            self.logprobs += piece.logprobs

    def _refuse(self, pieces: list[Piece]) -> None:
        for piece in pieces:
            self.spoke = True
            self.refusal += piece.text


def annotation_to_chat(value: Any, message: Message, offset: int, path: str, ledger: Ledger) -> dict[str, Any] | None:
    """Nest a flat citation, shifted to where its part stands in the text; None where Chat has none like it.

    Positions count characters of their own part (MAPPING §4.4).
    """
    if message.offset is None:
        return None  # its message isn't shown, and has an entry of its own
    if not isinstance(value, dict) or value.get("type") != "url_citation":
        ledger.note(path, "dropped", "Chat has citations of web pages only")
        return None
    shift = message.offset + offset
    inner = {key: inner for key, inner in value.items() if key != "type"}
    for key in ("start_index", "end_index"):
        if isinstance(inner.get(key), int):
            inner[key] += shift
    return {"type": "url_citation", "url_citation": inner}


def call_to_chat(item: dict[str, Any], asked: Asked) -> dict[str, Any]:
    """Translate a call item into a tool call; its id is the `call_id`, in the caller's own spelling (EDGE_CASES 12, 14)."""
    call_id = item.get("call_id")
    if not isinstance(call_id, str):
        call_id = item.get("id")
    made: dict[str, Any] = {"id": asked.call_ids.get(call_id, call_id) if isinstance(call_id, str) else call_id}
    if item["type"] == "custom_tool_call":
        return made | {"type": "custom", "custom": {"name": item.get("name"), "input": item.get("input") or ""}}
    return made | {"type": "function", "function": {"name": item.get("name"), "arguments": item.get("arguments") or ""}}
