"""The items of a stream under way: which event belongs to which item, and how much of it was passed on."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from adapter.errors import StreamTruncated

from .annotations import Annotation
from .prose import Message

_CALLS = {"function_call", "custom_tool_call"}


@dataclass(slots=True)
class _Part:
    number: int
    offset: int  # where its text begins in the message's
    text: list[str] = field(default_factory=list)
    refusal: list[str] = field(default_factory=list)
    annotations: int = 0


@dataclass(slots=True, eq=False)
class Item:
    """Any item; `done` is its finished form once that has come."""

    path: str
    done: dict[str, Any] | None = None

    @classmethod
    def of(cls, path: str, item: dict[str, Any]) -> Item:
        """Open an item in the form in which it is announced."""
        return cls(path)


@dataclass(slots=True, eq=False)
class OpenMessage(Item):
    """A message: its text and refusal on their way to the caller, and what of each part was passed on."""

    commentary: bool = False
    text: Message = field(init=False)
    parts: dict[int, _Part] = field(default_factory=dict)
    _refusal: Message | None = None  # most answers have none

    @classmethod
    def of(cls, path: str, item: dict[str, Any]) -> OpenMessage:
        """Open a message."""
        return cls(path, commentary=item.get("phase") == "commentary")

    def __post_init__(self) -> None:
        self.text = Message(self.path, self.commentary)

    @property
    def refusal(self) -> Message:
        """Its refusal."""
        self._refusal = self._refusal or Message(self.path, self.commentary)
        return self._refusal

    def part(self, content_index: Any) -> _Part:
        """Return a part's state; a server that sends no index means the newest part (llama.cpp)."""
        number = content_index if isinstance(content_index, int) else max(self.parts, default=0)
        if number not in self.parts:
            self.parts[number] = _Part(number, self.text.length)
        return self.parts[number]


@dataclass(slots=True, eq=False)
class Call(Item):
    """A tool call: `sent` is what came of its arguments, `index` its place among the caller's tool calls."""

    custom: bool = False
    name: str | None = None
    call_id: str | None = None
    index: int = 0
    opened: bool = False
    dropped: bool = False
    sent: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, path: str, item: dict[str, Any]) -> Call:
        """Open a call; name and id may come later."""
        return cls(path, custom=item.get("type") == "custom_tool_call")

    @property
    def kind(self) -> str:
        """Chat's word for the kind of call."""
        return "custom" if self.custom else "function"

    @property
    def written(self) -> str:
        """Chat's word, and the Responses API's, for what the model wrote for the tool."""
        return "input" if self.custom else "arguments"

    @property
    def unfinished(self) -> bool:
        """Tell whether the caller has seen the beginning of the call, and there may be more of it."""
        return self.opened and not self.dropped and self.done is None

    @property
    def complete(self) -> bool:
        """Tell whether the caller has seen all of the call: it was finished, or what was passed on is a JSON text already."""
        if not self.opened or self.dropped:
            return False
        return self.done is not None or (not self.custom and _is_json("".join(self.sent)))

    def heard(self) -> dict[str, Any]:
        """Return it as an item, with as much as the caller has seen."""
        kind = "custom_tool_call" if self.custom else "function_call"
        own = (self.done or {}).get("id")
        return {"type": kind, "id": own, "call_id": self.call_id, "name": self.name, self.written: "".join(self.sent)}

    def learn(self, item: dict[str, Any]) -> None:
        """Take name and id from an item, as far as it has them."""
        if isinstance(item.get("name"), str):
            self.name = item["name"]
        call_id = item.get("call_id")
        if isinstance(call_id, str) and call_id:
            self.call_id = call_id


class OpenItems:
    """Find the item that an event belongs to; open it where the server has not announced it."""

    __slots__ = ("_by_key", "_order", "annotations")

    def __init__(self) -> None:
        self._by_key: dict[object, Item] = {}
        self._order: list[Item] = []
        self.annotations: list[Annotation] = []

    @property
    def calls(self) -> list[Call]:
        """The calls, in order of appearance."""
        return [item for item in self._order if isinstance(item, Call)]

    @property
    def newest_message(self) -> OpenMessage | None:
        """The message that was opened last."""
        return next((item for item in reversed(self._order) if isinstance(item, OpenMessage)), None)

    def open(self, event: dict[str, Any], item: dict[str, Any]) -> Item:
        """Open the item that an event announces."""
        found = self._make(item)
        for key in _keys(event, item):
            self._by_key[key] = found
        return found

    def get(self, event: dict[str, Any], item: dict[str, Any]) -> Item:
        """Return the item that an event finishes."""
        kind = _class(item.get("type"))
        for key in _keys(event, item):
            found = self._by_key.get(key)
            if type(found) is kind:
                return found
        if "output_index" not in event:
            # No index, and an id that was never announced: the oldest one of the kind that isn't finished (llama.cpp
            # finishes all items at the very end).
            for found in self._order:
                if type(found) is kind and found.done is None and kind is not Item:
                    return found
        return self.open(event, item)

    def message(self, event: dict[str, Any]) -> OpenMessage:
        """Return the message that a text event belongs to."""
        found = self._find(event, OpenMessage) or self.open(event, {"type": "message"})
        assert isinstance(found, OpenMessage)
        return found

    def call(self, event: dict[str, Any]) -> Call:
        """Return the call that an arguments event belongs to."""
        kind = "custom_tool_call" if "custom_tool_call" in event["type"] else "function_call"
        found = self._find(event, Call) or self.open(event, {"type": kind})
        assert isinstance(found, Call)
        return found

    def _find(self, event: dict[str, Any], kind: type[Item]) -> Item | None:
        for key in _keys(event, {}):
            if key in self._by_key and type(self._by_key[key]) is kind:
                return self._by_key[key]
        if "output_index" in event:
            return None
        return next((item for item in reversed(self._order) if type(item) is kind and item.done is None), None)

    def _make(self, item: dict[str, Any]) -> Item:
        kind = _class(item.get("type"))
        made = kind.of(f"output[{len(self._order)}]", item)
        self._order.append(made)
        return made

    def settled(self, output: list[Any]) -> Iterator[tuple[Item, dict[str, Any]]]:
        """Pair the messages and calls of the finished response with the open ones, opening those that never came.

        Matched by kind and order, not by id: some servers change ids in the finished response (recording 663).
        """
        opened: dict[type[Item], Iterator[Item]] = {
            kind: iter([i for i in self._order if type(i) is kind]) for kind in (OpenMessage, Call)
        }
        for item in output:
            if isinstance(item, dict) and (same := opened.get(_class(item.get("type")))) is not None:
                yield next(same, None) or self._make(item), item

    def heard(self) -> list[Any]:
        """List the finished items so far, up to the first call that isn't complete; calls as they were passed on."""
        out: list[Any] = []
        for item in self._order:
            if not isinstance(item, Call):
                out.append(item.done)
            elif item.complete:
                out.append(item.heard())
            else:
                break
        return out

    def heard_at_the_end(self, output: list[Any]) -> list[Any]:
        """List all items: in the order of the finished response's, where it lists them; calls as they were passed on.

        The finished response has encrypted its reasoning anew (13 of 60 recordings) or, with some servers, left it out.
        """
        calls = iter(self.calls)
        thoughts = (item.done for item in self._order if type(item) is Item and _is_reasoning(item.done))
        out: list[Any] = []
        for item in output or [one.done for one in self._order]:
            if _class(item.get("type") if isinstance(item, dict) else None) is Call:
                call = next(calls, None)
                if call is None or call.dropped:
                    break
                out.append(call.heard())
            elif _is_reasoning(item):
                own = next(thoughts, None)
                out.append(item if item.get("encrypted_content") or own is None else own)
            else:
                out.append(item)
        return out

    def annotate(self, message: OpenMessage, p: Any, values: Any, *, seen: int) -> None:
        """Take a part's annotations, but for the first `seen`, which came before."""
        part = message.part(p)
        for value in (values if isinstance(values, list) else [])[seen:]:
            path = f"{message.path}.content[{part.number}].annotations[{part.annotations}]"
            self.annotations.append(Annotation(message.text, part.offset, value, path))
            part.annotations += 1

    def finished(self, output: list[Any]) -> Iterator[tuple[str, Any]]:
        """Walk the finished items: those of the finished response, or those that came one by one where it lists none."""
        items = output or [item.done for item in self._order if item.done is not None]
        for i, item in enumerate(items):
            yield f"output[{i}]", item


def _is_reasoning(item: Any) -> bool:
    return isinstance(item, dict) and item.get("type") == "reasoning"


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _class(item_type: object) -> type[Item]:
    if item_type == "message":
        return OpenMessage
    return Call if isinstance(item_type, str) and item_type in _CALLS else Item


def _keys(event: dict[str, Any], item: dict[str, Any]) -> Iterator[object]:
    """The keys of an item, the surest first."""
    if isinstance(event.get("output_index"), int):
        yield "index", event["output_index"]
        return
    for name in (event.get("item_id"), item.get("id")):
        if isinstance(name, str) and name:
            yield "id", name


def rest_of(path: str, sent: list[str], whole: Any) -> str:
    """Return what is missing of a finished text; raise where it contradicts what was passed on."""
    if not isinstance(whole, str):
        return ""
    so_far = "".join(sent)
    if so_far and not whole.startswith(so_far):
        if not whole:
            return ""  # an empty field says nothing: some servers leave it so
        raise StreamTruncated(path, "what was streamed is not how the finished text begins")
    return whole[len(so_far) :]
