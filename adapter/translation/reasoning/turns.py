"""Remembered turns: the parts of a reply with tool calls that Chat has no place for.

A Response has reasoning items before its calls. They are remembered as a RememberedTurn, and
inserted when the history comes back with the calls (docs/mapping.md#reasoning).
"""

from __future__ import annotations

from dataclasses import dataclass
from sys import getsizeof
from typing import Any

Item = dict[str, Any]

ENCRYPTED = "reasoning.encrypted_content"
"""The entry of `include` for reasoning that can be sent back without being stored."""


def asks_encrypted(body: dict[str, Any]) -> bool:
    """Return whether a Responses body asks for encrypted reasoning."""
    included = body.get("include")
    return isinstance(included, list) and ENCRYPTED in included


PHASES = ("commentary", "final_answer")
"""The phases of messages that are remembered."""


@dataclass(frozen=True, slots=True)
class TurnMessage:
    """The message before a turn's calls.

    `reasoning_before`: the number of reasoning items before it. `text_digest`: of its text.
    """

    reasoning_before: int
    phase: str | None
    text_digest: str
    id: str | None = None


@dataclass(frozen=True, slots=True)
class RememberedTurn:
    """The parts of one reply with tool calls that Chat doesn't show.

    `call_digests`: of the calls, in order. `reasoning`: for each call, the reasoning items before
    it, as the API returned them. `ids`: the ids of the call items. `user_digest`: of the user
    message before the calls.
    """

    call_digests: tuple[str, ...]
    reasoning: tuple[tuple[Item, ...], ...]
    message: TurnMessage | None = None
    ids: tuple[str | None, ...] = ()
    user_digest: str = ""

    @property
    def has_content(self) -> bool:
        """Return whether there is anything to insert."""
        return any(self.reasoning) or (self.message is not None and self.message.phase is not None)

    @property
    def size(self) -> int:
        """Its approximate size in memory, in bytes."""
        size = 600 + 200 * len(self.call_digests)
        for items in self.reasoning:
            for item in items:
                size += 800 + len(item["encrypted_content"])  # ASCII
                if item.get("summary") or item.get("content") or len(item) > 4:
                    size += _size(item)
        return size

    def to_json(self) -> Item:
        """Return it as JSON, in the form that `_memory/untrusted_values.py` reads."""
        message = self.message
        with_message = (
            {"spoken": [message.reasoning_before, message.phase, message.text_digest, message.id]}
            if message is not None
            else {}
        )
        return {
            "calls": list(self.call_digests),
            "before": [list(one) for one in self.reasoning],
            "ids": list(self.ids),
            "user": self.user_digest,
            **with_message,
        }


@dataclass(frozen=True, slots=True)
class MemoryEntry:
    """A turn with the name under which it is remembered."""

    name: str
    turn: RememberedTurn


def _size(value: Any) -> int:
    if isinstance(value, list):
        return 60 + sum(map(_size, value))
    return 200 + sum(map(_size, value.values())) if isinstance(value, dict) else getsizeof(value)
