"""The Responses API, read: the translation makes Chat's chunks of its events, and adds here what Chat has no words for.

So what the reader sees of several messages, of deltas that never came and of those that contradict the end is decided in one place
for everybody (`adapter.translation.streams.events_to_chunks`), and a Response is read as the one event that ends a stream.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from adapter.translation import Asked, ChunksFromEvents
from adapter.translation.objects.message_text import Piece
from adapter.translation.replies.annotations import placed
from adapter.translation.replies.response_to_chat import check_response
from adapter.translation.streams.chunks import Chunks
from adapter.translation.streams.item_states import Call

from .accumulator import Answer, Events
from .sdk_objects import fields, key_of, listed, plain, string
from .types import Citation, Usage

# Of a Response, what the translation looks at: its echo of the request would only cost.
_RESPONSE = {
    "id", "object", "created_at", "model", "status", "error", "incomplete_details", "output", "usage", "service_tier",
    "content_filters",
}  # fmt: skip
_NESTED = {"item": plain, "part": plain, "annotation": plain, "error": plain}
_CALLS = ("function_call", "custom_tool_call")
_JSON = {"json_schema", "json_object"}
_THOUGHTS = {"response.reasoning_summary_text": "summary_index", "response.reasoning_text": "content_index"}
_PARTED = "\n\n"
# Most of a stream, with nothing inside that would have to be made JSON.
_DELTAS = frozenset(
    f"response.{of}.delta" for of in ("output_text", "refusal", "function_call_arguments", "custom_tool_call_input")
)


class _Chunks(Chunks):
    def _top(self) -> dict[str, Any]:
        return {}  # what chunks share isn't looked at


class _Machine(ChunksFromEvents):
    """The translation's machine, for readers who may know both APIs."""

    def __init__(self, asked: Asked) -> None:
        super().__init__(asked)
        self._chunks = _Chunks(asked)

    def _say(self, pieces: list[Piece], obfuscation: Any = None, *, last: bool = False) -> list[Any]:
        """Give text as it is: a chunk around each piece would be taken off again at once."""
        return [piece.text for piece in self._cut.take(pieces, last=last)]

    def _check_answerable(self, response: dict[str, Any]) -> None:
        """Let an answer pass that waits for something which Chat can't give: here the caller has it in `raw`."""

    def _other_call(self, call: Call) -> list[Any]:
        """Give a call that bears another one's id: a reader is told what the model said, and tells calls apart by their places."""
        call.first = None
        return self._begin_call(call)

    def citations(self) -> Iterator[Citation]:
        """Give all citations of what is shown, those that Chat has no form for as well."""
        for annotation in self._items.annotations:
            found = placed(annotation)
            if found is not None:
                yield Citation.of(found)

    @property
    def response(self) -> dict[str, Any]:
        """What is known of the Response so far."""
        return self._chunks.response


class ResponsesReader:
    """Take the events of a stream with `feed`, or a Response with `whole`; `close` ends it."""

    def __init__(self, answer: Answer, *, json_format: bool) -> None:
        self._answer = answer
        self._json_format = json_format
        self._thoughts = _Thoughts(answer)
        self._machine: _Machine | None = None
        self._over = False
        self._raw: Any = None
        self._final: str | None = None

    def feed(self, event: Any) -> Events:
        """Take an event, as an object or a dict; those of the SDK's `.stream()` helper are the same with more fields."""
        top: dict[str, Any] = event if isinstance(event, dict) else getattr(event, "__dict__", {})
        machine = self._machine or self._open(top)
        if self._over:
            return []
        out: Events = []
        kind = top.get("type")
        if not isinstance(kind, str) or kind not in _DELTAS:
            top = _plainly(fields(event))
            out += self._thoughts.feed(top)
        said: list[Any] = machine.feed(top)
        if machine.ended:
            self._over = True
            out += self._ended(machine, event)
        for piece in said:
            out += self._answer.say(piece) if isinstance(piece, str) else self._chunk(piece)
        return out

    def _chunk(self, chunk: dict[str, Any]) -> Events:
        out: Events = []
        for choice in chunk["choices"]:
            if choice["finish_reason"] is not None:
                # Its delta has Chat's citations, which are not all.
                self._answer.finish_reason = choice["finish_reason"]
            else:
                out += self._answer.delta(choice["delta"])
        return out

    def _open(self, top: Mapping[str, Any]) -> _Machine:
        shape = fields(fields(fields(top.get("response")).get("text")).get("format"))
        asked = Asked(stream=True, json_format=self._json_format or shape.get("type") in _JSON)
        self._machine = _Machine(asked)
        return self._machine

    def _ended(self, machine: _Machine, event: Any) -> Events:
        self._raw = fields(event).get("response")
        for item in machine.response["output"]:
            if isinstance(item, dict):
                self._take_parsed(item)
        self._final = _PARTED.join(_thoughts_of(machine.response["output"])) or None
        if self._final and not self._thoughts.spoke:
            return [self._answer.think(self._final)]
        return []

    def _take_parsed(self, item: dict[str, Any]) -> None:
        """Take over what the SDK has parsed."""
        for part in listed(item.get("content")):
            if isinstance(part, dict) and part.get("parsed") is not None:
                self._answer.parsed = part["parsed"]
        if item.get("type") in _CALLS:
            self._answer.parsed_arguments.append(item.get("parsed_arguments"))

    def close(self) -> Events:
        """Take the end of the stream."""
        machine = self._machine or self._open({})
        machine.close()
        self._answer.citations += machine.citations()
        response = machine.response
        return self._answer.finish(
            usage=Usage.of(response.get("usage")),
            id_=string(response.get("id")),
            model=string(response.get("model")),
            raw=self._raw,
            reasoning=self._final,
        )

    def whole(self, response: Any) -> Events:
        """Take a Response."""
        check_response(_plainly({"response": response})["response"], None)  # a stream's may leave out what came before
        self.feed({"type": "response.completed", "response": response})
        return self.close()


def _plainly(top: Mapping[str, Any]) -> dict[str, Any]:
    """Turn what an event holds into JSON, as far as it is looked at."""
    event = dict(top)
    for key, value in top.items():
        if key == "response" and fields(value):
            event[key] = {name: plain(inner) for name, inner in fields(value).items() if name in _RESPONSE}
            if listed(event[key].get("output")):
                event[key]["output"] = [_with_call_id(item) for item in event[key]["output"]]
        elif key in _NESTED and not isinstance(value, dict):
            event[key] = plain(value)
    return event


def _with_call_id(item: Any) -> Any:
    """Give a finished call that came without a `call_id` the item's own id for one, as the translation of results does."""
    if isinstance(item, dict) and item.get("type") in _CALLS and not item.get("call_id"):
        return {**item, "call_id": item.get("id")}
    return item


class _Thoughts:
    """The reasoning of a stream: its summary, or the reasoning itself where a server shows that. Parts stand apart by a blank line."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self._heard: dict[tuple[Any, str, Any], str] = {}
        self._kinds: dict[Any, str] = {}
        self.spoke = False

    def feed(self, event: dict[str, Any]) -> Events:
        """Take an event of any type."""
        kind = event.get("type")
        if not isinstance(kind, str):
            return []
        if kind == "response.output_item.done":
            return self._item(event, event.get("item"))
        of, _, step = kind.rpartition(".")
        if of not in _THOUGHTS:
            return []
        whole = step == "done"
        text = event.get("text" if whole else "delta")
        return self._say(_place(event), of, event.get(_THOUGHTS[of]), text, whole=whole)

    def _item(self, event: dict[str, Any], item: Any) -> Events:
        out: Events = []
        if isinstance(item, dict) and item.get("type") == "reasoning":
            place = _place({"item_id": item.get("id"), **event})
            for kind, texts in zip(_THOUGHTS, _parts_of(item), strict=True):
                for n, text in enumerate(texts):
                    out += self._say(place, kind, n, text, whole=True)
        return out

    def _say(self, place: Any, kind: str, n: Any, text: Any, *, whole: bool) -> Events:
        if not isinstance(text, str) or self._kinds.setdefault(place, kind) != kind:
            return []  # an item's summary and the reasoning itself say the same
        key = (place, kind, key_of(n) or 0)
        heard = self._heard.get(key, "")
        if whole:
            text = text[len(heard) :] if text.startswith(heard) else ""
        if not text:
            return []
        self._heard[key] = heard + text
        apart = _PARTED if self.spoke and not heard else ""
        self.spoke = True
        return [self._answer.think(apart + text)]


def _place(event: dict[str, Any]) -> Any:
    index = key_of(event.get("output_index"))
    return index if index is not None else key_of(event.get("item_id"))


def _parts_of(item: dict[str, Any]) -> tuple[list[str], list[str]]:
    """Return the texts of a reasoning item's summary, and of the reasoning itself."""
    found: list[list[str]] = []
    for key in ("summary", "content"):
        texts = [part.get("text") for part in listed(item.get(key)) if isinstance(part, dict)]
        found.append([text for text in texts if isinstance(text, str)])
    return found[0], found[1]


def _thoughts_of(output: list[Any]) -> Iterator[str]:
    for item in output:
        if isinstance(item, dict) and item.get("type") == "reasoning":
            summary, content = _parts_of(item)
            yield from (text for text in (summary if any(summary) else content) if text)
