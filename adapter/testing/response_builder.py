"""Build a Response, and its events, from what one choice of a Chat Completions reply says."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from adapter.translation.objects.call_types import (
    CALL_KINDS,
    CALL_TYPES,
    call_type_of,
    call_type_on_chat,
)

Json = dict[str, Any]

_CONSTANT: Json = {
    "object": "response",
    "error": None,
    "instructions": None,
    "parallel_tool_calls": True,
    "temperature": 1.0,
    "tool_choice": "auto",
    "tools": [],
    "top_p": 1.0,
}
_SHARED_FIELDS = ("model", "service_tier", "metadata")
"""The top-level fields of a reply with the same name in both APIs."""

_INCOMPLETE_REASONS = {"length": "max_output_tokens", "content_filter": "content_filter"}
"""The finish reasons of an incomplete Response, and its names for them."""

_USAGE = {
    "prompt_tokens": "input_tokens",
    "completion_tokens": "output_tokens",
    "prompt_tokens_details": "input_tokens_details",
    "completion_tokens_details": "output_tokens_details",
}

_COMPLETION_PREFIX = "chatcmpl-"


class _TextKind(NamedTuple):
    """A kind of text: the names of its events, and the keys of the text and of its part's index."""

    begins: str
    text: str
    ends: str
    key: str
    number: str


_TEXT_KINDS = {
    "output_text": _TextKind(
        "content_part.added", "output_text", "content_part.done", "text", "content_index"
    ),
    "refusal": _TextKind(
        "content_part.added", "refusal", "content_part.done", "refusal", "content_index"
    ),
    "summary_text": _TextKind(
        "reasoning_summary_part.added",
        "reasoning_summary_text",
        "reasoning_summary_part.done",
        "text",
        "summary_index",
    ),
}
_TEXT_FIELDS = {
    "reasoning_content": "summary_text",
    "reasoning": "summary_text",
    "content": "output_text",
    "refusal": "refusal",
}
"""The texts of a message or a delta, in the order of the Responses API, and their kinds."""


class ResponseBuilder:
    """Convert one choice to a Response.

    `add` returns the events of a delta, `response` the Response so far.
    """

    def __init__(self) -> None:
        self.finish: str | None = None
        self._top: Json = {}
        self._filters: dict[str, list[Any]] = {"prompt": [], "completion": []}
        self._output: list[Json] = []
        self._message: Json | None = None
        self._reasoning: Json | None = None
        self._calls: dict[Any, Json] = {}
        self._unnamed: dict[Any, str] = {}  # arguments received before the call's name
        self._sent = 0

    @property
    def status(self) -> str:
        """The status at the end: `completed` or `incomplete`."""
        return "incomplete" if self.finish in _INCOMPLETE_REASONS else "completed"

    def update(self, given: Json) -> None:
        """Read the top-level fields of a completion or a chunk."""
        if isinstance(given.get("id"), str) and given["id"]:
            self._top.setdefault("id", given["id"].removeprefix(_COMPLETION_PREFIX))
        if given.get("created"):
            self._top.setdefault("created_at", given["created"])
        self._top |= {key: given[key] for key in _SHARED_FIELDS if given.get(key)}
        usage = given.get("usage")
        if isinstance(usage, dict):
            self._top["usage"] = {_USAGE.get(key, key): value for key, value in usage.items()}
        moderation = given.get("moderation")
        if isinstance(moderation, dict):
            self._top["moderation"] = {
                side: _moderated(result) for side, result in moderation.items()
            }
        for one in objects_in(given.get("prompt_filter_results")):
            self._filters["prompt"].append(one.get("content_filter_results"))

    def add(self, choice: Json, content: Any) -> list[Json]:
        """Add the message or delta of a choice; return its events."""
        if choice.get("finish_reason") is not None:
            self.finish = str(choice["finish_reason"])
        if choice.get("content_filter_results"):
            self._filters["completion"].append(choice["content_filter_results"])
        if not isinstance(content, dict):
            return []
        events: list[Json] = []
        logprobs = choice.get("logprobs")
        entries = logprobs.get("content") if isinstance(logprobs, dict) else None
        for key, kind in _TEXT_FIELDS.items():
            text = _text_of(content.get(key))
            if text:
                events += self._add_text(kind, text, entries or [] if key == "content" else [])
        for annotation in objects_in(content.get("annotations")):
            events += self._annotate(annotation)
        legacy = content.get("function_call")
        if isinstance(legacy, dict):
            events += self._call("function_call", {"function": legacy})
        for call in objects_in(content.get("tool_calls")):
            events += self._call(self._key(call), call)
        return events

    def end(self) -> list[Json]:
        """Finish all items; return the events."""
        events: list[Json] = []
        if not self._message and not self._calls:
            events += self._add_text("output_text", "", [])
        for key in list(self._unnamed):  # calls that never got a name
            events += self._open_call(key)
        for position, item in enumerate(self._output):
            where = {"item_id": item["id"], "output_index": position}
            call_type = call_type_of(item)
            if call_type is not None:
                key = call_type.payload
                done = {key: item[key], "name": item["name"]}
                events.append({"type": f"{call_type.events}.done", **where, **done})
            for number, part in enumerate(item.get("content") or item.get("summary") or ()):
                kind = _TEXT_KINDS[part["type"]]
                place = {**where, kind.number: number}
                text = {kind.key: part[kind.key]} | (
                    {"logprobs": part["logprobs"]} if "logprobs" in part else {}
                )
                events.append({"type": f"response.{kind.text}.done", **place, **text})
                events.append({"type": f"response.{kind.ends}", **place, "part": part.copy()})
            item["status"] = self.status
            events.append(
                {"type": "response.output_item.done", "output_index": position, "item": item.copy()}
            )
        return events

    def response(self, status: str) -> Json:
        """Return the Response so far."""
        made: Json = _CONSTANT | {"id": "resp_mock", "created_at": 0, "status": status} | self._top
        reason = _INCOMPLETE_REASONS.get(self.finish or "") if status == "incomplete" else None
        made["incomplete_details"] = {"reason": reason} if reason else None
        running = status == "in_progress"
        made["output"] = [] if running else self._output
        if running:
            made.pop("usage", None)
        if any(self._filters.values()):
            made["content_filters"] = [
                {"source_type": source, "content_filter_results": found or {}}
                for source, results in self._filters.items()
                for found in results
            ]
        return made

    def encode(self, event: Json) -> bytes:
        """Encode the next event as a frame of the stream."""
        event = {"type": event["type"], "sequence_number": self._sent, **event}
        self._sent += 1
        return (
            f"event: {event['type']}\ndata: {json.dumps(event, separators=(',', ':'))}\n\n".encode()
        )

    # Texts

    def _add_text(self, kind: str, text: str, logprobs: list[Any]) -> list[Json]:
        item, events = self._item_for(kind)
        parts = item["summary" if kind == "summary_text" else "content"]
        number = next((at for at, part in enumerate(parts) if part["type"] == kind), len(parts))
        of = _TEXT_KINDS[kind]
        place = {"item_id": item["id"], "output_index": self._output.index(item), of.number: number}
        if number == len(parts):
            part: Json = {"type": kind, of.key: ""}
            if kind == "output_text":
                part |= {"annotations": [], "logprobs": []}
            events.append({"type": f"response.{of.begins}", **place, "part": _copy(part)})
            parts.append(part)
        part = parts[number]
        part[of.key] += text
        more: Json = {}
        if kind == "output_text":
            part["logprobs"] += logprobs
            more = {"logprobs": logprobs}
        if text:
            events.append({"type": f"response.{of.text}.delta", **place, "delta": text, **more})
        return events

    def _item_for(self, kind: str) -> tuple[Json, list[Json]]:
        """Return the item of a text, and the event that announces the item if it is new."""
        if kind == "summary_text":
            if self._reasoning is None:
                self._reasoning = {"id": self._id("rs"), "type": "reasoning", "summary": []}
                return self._reasoning, [self._add_item(self._reasoning)]
            return self._reasoning, []
        if self._message is None:
            self._message = {
                "id": self._id("msg"),
                "type": "message",
                "role": "assistant",
                "content": [],
            }
            return self._message, [self._add_item(self._message)]
        return self._message, []

    def _annotate(self, given: Json) -> list[Json]:
        inner = given.get("url_citation")
        flat = {"type": "url_citation", **inner} if isinstance(inner, dict) else given
        events = self._add_text("output_text", "", [])
        item = self._item_for("output_text")[0]
        number = next(
            at for at, part in enumerate(item["content"]) if part["type"] == "output_text"
        )
        annotations = item["content"][number]["annotations"]
        annotations.append(flat)
        place = {
            "item_id": item["id"],
            "output_index": self._output.index(item),
            "content_index": number,
        }
        event = {"type": "response.output_text.annotation.added", **place}
        return [*events, {**event, "annotation_index": len(annotations) - 1, "annotation": flat}]

    # Calls

    def _key(self, call: Json) -> Any:
        """Return the key of the call that a delta belongs to.

        It is the index. If a mock leaves that out, a known id continues a call, and another id or a
        name begins one.
        """
        if call.get("index") is not None:
            return call["index"]
        known = [
            key
            for key, item in self._calls.items()
            if call.get("id") and item["call_id"] == call["id"]
        ]
        inner = next(filter(None, map(call.get, CALL_KINDS)), None)
        begins = (
            call.get("id") or (isinstance(inner, dict) and inner.get("name")) or not self._calls
        )
        return known[0] if known else len(self._calls) if begins else list(self._calls)[-1]

    def _call(self, key: Any, given: Json) -> list[Json]:
        call_type = call_type_on_chat(given)
        inner = given.get(call_type.kind)
        inner = inner if isinstance(inner, dict) else {}
        item = self._calls.get(key)
        if item is None:
            item = self._calls[key] = {
                "id": self._id("fc", key),
                "type": call_type.item,
                "call_id": "",
                "name": "",
            }
            self._unnamed[key] = ""
        item["call_id"] = item["call_id"] or given.get("id") or ""
        argument = CALL_TYPES[item["type"]].payload
        written = _arguments_text(inner.get(argument))
        if key in self._unnamed:
            self._unnamed[key] += written
            item["name"] += inner.get("name") or ""
            return self._open_call(key) if item["name"] else []
        item[argument] += written
        return [self._arguments_delta(item, written)] if written else []

    def _open_call(self, key: Any) -> list[Json]:
        item, written = self._calls[key], self._unnamed.pop(key)
        argument = CALL_TYPES[item["type"]].payload
        item["call_id"] = item["call_id"] or f"call_mock_{key}"
        item[argument] = ""
        events = [self._add_item(item)]
        item[argument] = written
        return [*events, self._arguments_delta(item, written)] if written else events

    def _arguments_delta(self, item: Json, written: str) -> Json:
        place = {"item_id": item["id"], "output_index": self._output.index(item)}
        kind = f"{CALL_TYPES[item['type']].events}.delta"
        return {"type": kind, **place, "delta": written}

    def _add_item(self, item: Json) -> Json:
        self._output.append(item)
        item["status"] = "in_progress"
        return {
            "type": "response.output_item.added",
            "output_index": len(self._output) - 1,
            "item": _copy(item),
        }

    def _id(self, prefix: str, key: Any = None) -> str:
        number = len(self._output) if key is None else f"call_{key}"
        return f"{prefix}_{self._top.get('id', 'mock')}_{number}"


def _copy(given: Json) -> Json:
    return {key: list(value) if isinstance(value, list) else value for key, value in given.items()}


def objects_in(given: Any) -> list[Json]:
    """List the objects of an array; none if it isn't an array."""
    return [one for one in given if isinstance(one, dict)] if isinstance(given, list) else []


def _text_of(content: Any) -> str:
    """Return the text of a message; some servers write it in parts."""
    if isinstance(content, list):
        return "".join(
            part["text"] for part in objects_in(content) if isinstance(part.get("text"), str)
        )
    return content if isinstance(content, str) else ""


def _arguments_text(arguments: Any) -> str:
    return (
        arguments
        if isinstance(arguments, str)
        else ""
        if arguments is None
        else json.dumps(arguments)
    )


def _moderated(side: Any) -> Any:
    results = side.get("results") if isinstance(side, dict) else None
    return results[0] if isinstance(results, list) and len(results) == 1 else side
