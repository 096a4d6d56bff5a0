"""The state of one item of a stream: what is known of it, and what was passed on."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from adapter.translation.objects.call_types import FUNCTION_CALL, CallType, call_type_of
from adapter.translation.objects.message_text import MessageText
from adapter.translation.objects.output_items import FINAL, is_commentary


@dataclass(slots=True)
class OpenPart:
    """The state of a message part.

    `offset`: where its text begins in the message's text. `announced`: the announced part, if it
    has contents.
    """

    number: int
    offset: int
    text: list[str] = field(default_factory=list)
    refusal: list[str] = field(default_factory=list)
    annotations: int = 0
    announced: dict[str, Any] | None = None


@dataclass(slots=True, eq=False)
class Item:
    """The state of any item.

    `done`: its finished form, once received. `own_id`: its announced id. `announcement`: the
    announced item, if its contents may be needed. `confirmed`: an event has confirmed what was
    passed on; `reworded`: with other formatting.
    """

    path: str
    done: dict[str, Any] | None = None
    own_id: str | None = None
    announced: bool = False
    announcement: dict[str, Any] | None = None
    confirmed: bool = False
    reworded: bool = False

    @classmethod
    def of(cls, path: str, item: dict[str, Any]) -> Item:
        """Return the state of an item from its announcement."""
        return cls(path)


@dataclass(slots=True, eq=False)
class OpenMessage(Item):
    """The state of a message: its text, refusal and parts."""

    commentary: bool = False
    phase_known: bool = False
    text: MessageText = field(init=False)
    parts: dict[int, OpenPart] = field(default_factory=dict)
    _newest: int = 0
    _refusal: MessageText | None = None  # most answers have none

    @classmethod
    def of(cls, path: str, item: dict[str, Any]) -> OpenMessage:
        """Return the state of a message from its announcement."""
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
        """The whole refusal so far."""
        return "" if self._refusal is None else self._refusal.text

    @property
    def shown(self) -> bool:
        """Return whether anything of it was shown."""
        return self.text.offset is not None or (
            self._refusal is not None and self._refusal.offset is not None
        )

    def part(self, content_index: Any, offset: int | None = None) -> OpenPart:
        """Return the state of a part; without an index, of the newest part."""
        # dialect: llama.cpp (no content_index)
        number = content_index if isinstance(content_index, int) else self._newest
        if number not in self.parts:
            self.parts[number] = OpenPart(number, self.text.length if offset is None else offset)
            self._newest = max(self._newest, number)
        return self.parts[number]


@dataclass(slots=True, eq=False)
class Call(Item):
    """The state of a tool call.

    `delivered`: the pieces of its arguments. `index`: among the caller's tool calls. `opened`: its
    first chunk was made; `dropped`: no chunk will be. `original`: the earlier call with its id.
    """

    call_type: CallType = FUNCTION_CALL
    name: str | None = None
    call_id: str | None = None
    index: int = 0
    opened: bool = False
    dropped: bool = False
    original: Call | None = None
    delivered: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, path: str, item: dict[str, Any]) -> Call:
        """Return the state of a call from its announcement; name and id may follow later."""
        return cls(path, call_type=call_type_of(item) or FUNCTION_CALL)

    @property
    def unfinished(self) -> bool:
        """Return whether its beginning was delivered, and more may follow."""
        return self.opened and not self.dropped and self.done is None

    @property
    def complete(self) -> bool:
        """Return whether the whole call was delivered: it is finished, or its text is JSON."""
        if not self.opened or self.dropped:
            return False
        return self.done is not None or (
            self.call_type.is_json and _is_json("".join(self.delivered))
        )

    def as_delivered(self) -> dict[str, Any]:
        """Return it as an output item, with the arguments that were delivered."""
        own = (self.done or {}).get("id")
        return {
            "type": self.call_type.item,
            "id": own,
            "call_id": self.call_id,
            "name": self.name,
            self.call_type.payload: "".join(self.delivered),
        }


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True
