"""One item of a stream under way: how much of it was passed on, and what is known of it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from adapter.translation.objects.message_text import MessageText
from adapter.translation.objects.output_items import FINAL, is_commentary


@dataclass(slots=True)
class OpenPart:
    """A part of a message: what of it was passed on."""

    number: int
    offset: int  # where its text begins in the message's
    text: list[str] = field(default_factory=list)
    refusal: list[str] = field(default_factory=list)
    annotations: int = 0
    announced: dict[str, Any] | None = (
        None  # what its announcement said, where it was more than that it comes
    )


@dataclass(slots=True, eq=False)
class Item:
    """Any item. `done` is its finished form once that has come, `own_id` the id under which it was announced.

    `agreed`: an event has confirmed the whole of what was passed on; `reworded`: that in other words.
    """

    path: str
    done: dict[str, Any] | None = None
    own_id: str | None = None
    announced: bool = False
    announcement: dict[str, Any] | None = None  # where it may have to stand for the item
    confirmed: bool = False
    reworded: bool = False

    @classmethod
    def of(cls, path: str, item: dict[str, Any]) -> Item:
        """Open an item in the form in which it is announced."""
        return cls(path)


@dataclass(slots=True, eq=False)
class OpenMessage(Item):
    """A message: its text and refusal on their way to the caller, and what of each part was passed on."""

    commentary: bool = False
    phase_known: bool = False
    text: MessageText = field(init=False)
    parts: dict[int, OpenPart] = field(default_factory=dict)
    _newest: int = 0
    _refusal: MessageText | None = None  # most answers have none

    @classmethod
    def of(cls, path: str, item: dict[str, Any]) -> OpenMessage:
        """Open a message."""
        return cls(path, commentary=is_commentary(item), phase_known=item.get("phase") == FINAL)

    def __post_init__(self) -> None:
        self.text = MessageText(self.path, self.commentary, phase_known=self.phase_known)

    @property
    def refusal(self) -> MessageText:
        """Its refusal."""
        self._refusal = self._refusal or MessageText(self.path, self.commentary)
        return self._refusal

    @property
    def text_and_refusal(self) -> tuple[MessageText, MessageText]:
        """Its text and its refusal."""
        return self.text, self.refusal

    @property
    def refusal_text(self) -> str:
        """All of its refusal so far."""
        return "" if self._refusal is None else self._refusal.text

    @property
    def shown(self) -> bool:
        """Tell whether the caller has read anything of it."""
        return self.text.offset is not None or (
            self._refusal is not None and self._refusal.offset is not None
        )

    def part(self, content_index: Any, offset: int | None = None) -> OpenPart:
        """Return a part's state; a server that sends no index means the newest part (llama.cpp)."""
        number = content_index if isinstance(content_index, int) else self._newest
        if number not in self.parts:
            self.parts[number] = OpenPart(number, self.text.length if offset is None else offset)
            self._newest = max(self._newest, number)
        return self.parts[number]


@dataclass(slots=True, eq=False)
class Call(Item):
    """A tool call: `sent` is what came of its arguments, `index` its place among the caller's tool calls.

    `first` is the call whose id it repeats.
    """

    custom: bool = False
    name: str | None = None
    call_id: str | None = None
    index: int = 0
    opened: bool = False
    dropped: bool = False
    original: Call | None = None
    delivered: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, path: str, item: dict[str, Any]) -> Call:
        """Open a call; name and id may come later."""
        return cls(path, custom=item.get("type") == "custom_tool_call")

    @property
    def type(self) -> str:
        """The type of its item."""
        return "custom_tool_call" if self.custom else "function_call"

    @property
    def kind(self) -> str:
        """Chat's word for the kind of call."""
        return "custom" if self.custom else "function"

    @property
    def payload_field(self) -> str:
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
        return self.done is not None or (not self.custom and _is_json("".join(self.delivered)))

    def as_delivered(self) -> dict[str, Any]:
        """Return it as an item, with as much as the caller has seen."""
        own = (self.done or {}).get("id")
        return {
            "type": self.type,
            "id": own,
            "call_id": self.call_id,
            "name": self.name,
            self.payload_field: "".join(self.delivered),
        }


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True
