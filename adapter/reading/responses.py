"""Read the Responses API: the translation makes Chat chunks of its events.

What Chat has no form for is added here. So several messages, missing deltas and contradictions at
the end are handled in one place (`adapter.translation.streams.events_to_chunks`). A whole Response
is read as the terminal event of a stream.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from adapter.translation import ChunksFromEvents, ReplyContext
from adapter.translation.objects.call_types import CALL_TYPES, call_type_of
from adapter.translation.replies.response_to_chat import check_response

from .accumulator import AnswerAccumulator, EventList
from .sdk_objects import as_json, as_list, fields, key_of, string
from .types import Citation, Usage

# The keys of a Response that the translation uses; converting its echo of the request would only
# cost.
_RESPONSE_KEYS = {
    "id", "object", "created_at", "model", "status", "error", "incomplete_details", "output",
    "usage", "service_tier", "content_filters",
}  # fmt: skip
_NESTED = {"item": as_json, "part": as_json, "annotation": as_json, "error": as_json}
_JSON_FORMATS = {"json_schema", "json_object"}
_REASONING_EVENTS = {
    "response.reasoning_summary_text": "summary_index",
    "response.reasoning_text": "content_index",
}
_PART_SEPARATOR = "\n\n"
# Most events of a stream; they contain no objects that must be converted to JSON.
_DELTA_TYPES = frozenset(
    f"{events}.delta"
    for events in (
        "response.output_text",
        "response.refusal",
        *(call_type.events for call_type in CALL_TYPES.values()),
    )
)


class ResponsesReader:
    """Read the events of a stream (`feed`, then `close`) or a Response (`whole`)."""

    def __init__(self, answer: AnswerAccumulator, *, json_format: bool) -> None:
        self._answer = answer
        self._json_format = json_format
        self._reasoning = _ReasoningAccumulator(answer)
        self._machine: ChunksFromEvents | None = None
        self._is_over = False
        self._raw: Any = None
        self._final_reasoning: str | None = None

    def feed(self, event: Any) -> EventList:
        """Feed an event, as an object or a dict, also of the SDK's `.stream()` helper.

        The helper's events are the same with more fields.
        """
        top: dict[str, Any] = event if isinstance(event, dict) else getattr(event, "__dict__", {})
        machine = self._machine or self._start(top)
        if self._is_over:
            return []
        out: EventList = []
        kind = top.get("type")
        if not isinstance(kind, str) or kind not in _DELTA_TYPES:
            top = _event_as_json(fields(event))
            out += self._reasoning.feed(top)
        pieces: list[Any] = machine.feed(top)
        if machine.ended:
            self._is_over = True
            out += self._take_final(machine, event)
        for piece in pieces:
            out += self._answer.add_text(piece) if isinstance(piece, str) else self._chunk(piece)
        return out

    def _chunk(self, chunk: dict[str, Any]) -> EventList:
        out: EventList = []
        for choice in chunk["choices"]:
            if choice["finish_reason"] is not None:
                # Its delta has only the citations that Chat has a form for.
                self._answer.finish_reason = choice["finish_reason"]
            else:
                out += self._answer.add_delta(choice["delta"])
        return out

    def _start(self, top: Mapping[str, Any]) -> ChunksFromEvents:
        shape = fields(fields(fields(top.get("response")).get("text")).get("format"))
        context = ReplyContext(
            stream=True, json_format=self._json_format or shape.get("type") in _JSON_FORMATS
        )
        # An answer that Chat can't represent is no failure: the caller has it in `raw`.
        self._machine = ChunksFromEvents(context, chat_only=False)
        return self._machine

    def _take_final(self, machine: ChunksFromEvents, event: Any) -> EventList:
        self._raw = fields(event).get("response")
        for item in machine.response["output"]:
            if isinstance(item, dict):
                self._take_parsed(item)
        self._final_reasoning = (
            _PART_SEPARATOR.join(_reasoning_texts(machine.response["output"])) or None
        )
        if self._final_reasoning and not self._reasoning.has_text:
            return [self._answer.add_reasoning(self._final_reasoning)]
        return []

    def _take_parsed(self, item: dict[str, Any]) -> None:
        """Keep what the SDK has parsed."""
        for part in as_list(item.get("content")):
            if isinstance(part, dict) and part.get("parsed") is not None:
                self._answer.parsed = part["parsed"]
        if call_type_of(item) is not None:
            self._answer.parsed_arguments.append(item.get("parsed_arguments"))

    def close(self) -> EventList:
        """End the stream; return the remaining events."""
        machine = self._machine or self._start({})
        machine.close()
        self._answer.citations += map(Citation.of, machine.annotations)
        response = machine.response
        return self._answer.finish(
            usage=Usage.of(response.get("usage")),
            id_=string(response.get("id")),
            model=string(response.get("model")),
            raw=self._raw,
            reasoning=self._final_reasoning,
        )

    def whole(self, response: Any) -> EventList:
        """Read a whole Response."""
        # Checked here: in a stream, the terminal event may leave out what came before.
        check_response(_event_as_json({"response": response})["response"], None)
        self.feed({"type": "response.completed", "response": response})
        return self.close()


def _event_as_json(top: Mapping[str, Any]) -> dict[str, Any]:
    """Convert an event to JSON, as far as the translation uses it."""
    event = dict(top)
    for key, value in top.items():
        if key == "response" and fields(value):
            event[key] = {
                name: as_json(inner)
                for name, inner in fields(value).items()
                if name in _RESPONSE_KEYS
            }
            if as_list(event[key].get("output")):
                event[key]["output"] = [_with_call_id(item) for item in event[key]["output"]]
        elif key in _NESTED and not isinstance(value, dict):
            event[key] = as_json(value)
    return event


def _with_call_id(item: Any) -> Any:
    """Set a missing `call_id` to the item's id, as the translation of whole replies does."""
    if isinstance(item, dict) and call_type_of(item) is not None and not item.get("call_id"):
        return {**item, "call_id": item.get("id")}
    return item


class _ReasoningAccumulator:
    """Accumulate the reasoning of a stream: the summary, or the reasoning itself if it is sent.

    Parts are separated by a blank line.
    """

    def __init__(self, answer: AnswerAccumulator) -> None:
        self._answer = answer
        self._received: dict[tuple[Any, str, Any], str] = {}
        self._kinds: dict[Any, str] = {}
        self.has_text = False

    def feed(self, event: dict[str, Any]) -> EventList:
        """Feed an event of any type."""
        kind = event.get("type")
        if not isinstance(kind, str):
            return []
        if kind == "response.output_item.done":
            return self._add_item(event, event.get("item"))
        prefix, _, step = kind.rpartition(".")
        if prefix not in _REASONING_EVENTS:
            return []
        whole = step == "done"
        text = event.get("text" if whole else "delta")
        return self._add_text(
            _item_key(event), prefix, event.get(_REASONING_EVENTS[prefix]), text, whole=whole
        )

    def _add_item(self, event: dict[str, Any], item: Any) -> EventList:
        out: EventList = []
        if isinstance(item, dict) and item.get("type") == "reasoning":
            key = _item_key({"item_id": item.get("id"), **event})
            for kind, texts in zip(_REASONING_EVENTS, _parts_of(item), strict=True):
                for n, text in enumerate(texts):
                    out += self._add_text(key, kind, n, text, whole=True)
        return out

    def _add_text(self, item_key: Any, kind: str, n: Any, text: Any, *, whole: bool) -> EventList:
        if not isinstance(text, str) or self._kinds.setdefault(item_key, kind) != kind:
            return []  # an item's summary and its reasoning have the same contents
        key = (item_key, kind, key_of(n) or 0)
        received = self._received.get(key, "")
        if whole:
            text = text[len(received) :] if text.startswith(received) else ""
        if not text:
            return []
        self._received[key] = received + text
        separator = _PART_SEPARATOR if self.has_text and not received else ""
        self.has_text = True
        return [self._answer.add_reasoning(separator + text)]


def _item_key(event: dict[str, Any]) -> Any:
    index = key_of(event.get("output_index"))
    return index if index is not None else key_of(event.get("item_id"))


def _parts_of(item: dict[str, Any]) -> tuple[list[str], list[str]]:
    """Return the texts of a reasoning item: of its summary, and of the reasoning itself."""
    found: list[list[str]] = []
    for key in ("summary", "content"):
        texts = [part.get("text") for part in as_list(item.get(key)) if isinstance(part, dict)]
        found.append([text for text in texts if isinstance(text, str)])
    return found[0], found[1]


def _reasoning_texts(output: list[Any]) -> Iterator[str]:
    for item in output:
        if isinstance(item, dict) and item.get("type") == "reasoning":
            summary, content = _parts_of(item)
            yield from (text for text in (summary if any(summary) else content) if text)
