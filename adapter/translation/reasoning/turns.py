"""What is remembered of a reply with tool calls (docs/mapping.md#reasoning, docs/edge-cases.md#reasoning-put-back).

A Response holds reasoning items in front of its calls; a chat history has no place for them. They are remembered as a ToolTurn, and put
back when the history comes back with the calls: see histories.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from sys import getsizeof
from typing import Any

Item = dict[str, Any]

ENCRYPTED = "reasoning.encrypted_content"
"""What `include` asks for, so that reasoning can be sent back without being stored on the server."""


def asks_encrypted(body: dict[str, Any]) -> bool:
    """Tell whether a Responses body asks for encrypted reasoning; its `include` may be anything."""
    included = body.get("include")
    return isinstance(included, list) and ENCRYPTED in included


PHASES = ("commentary", "final_answer")
"""The phases of messages that are remembered."""


@dataclass(frozen=True, slots=True)
class TurnMessage:
    """The message in front of a turn's calls: after how many reasoning items it stood, its phase, id and text (a digest)."""

    reasoning_before: int
    phase: str | None
    text_digest: str
    id: str | None = None


@dataclass(frozen=True, slots=True)
class RememberedTurn:
    """What one reply with tool calls held beside what Chat shows.

    `calls` are digests of the calls, in order; `before` holds, for each of them, the reasoning items in front of it, as the API
    gave them; `ids` are the call items' own ids. `user` names the user message in front of it.
    """

    call_digests: tuple[str, ...]
    reasoning: tuple[tuple[Item, ...], ...]
    message: TurnMessage | None = None
    ids: tuple[str | None, ...] = ()
    user_digest: str = ""

    @property
    def has_content(self) -> bool:
        """Tell whether there is anything to put back."""
        return any(self.reasoning) or (self.message is not None and self.message.phase is not None)

    @property
    def size(self) -> int:
        """About how many bytes it takes in memory."""
        size = 600 + 200 * len(self.call_digests)
        for items in self.reasoning:
            for item in items:
                size += 800 + len(item["encrypted_content"])  # ASCII
                if item.get("summary") or item.get("content") or len(item) > 4:
                    size += _size(item)
        return size

    def to_json(self) -> Item:
        """Return it as JSON, which memory/untrusted.py reads."""
        message = self.message
        spoken = (
            {"spoken": [message.reasoning_before, message.phase, message.text_digest, message.id]}
            if message is not None
            else {}
        )
        return {
            "calls": list(self.call_digests),
            "before": [list(one) for one in self.reasoning],
            "ids": list(self.ids),
            "user": self.user_digest,
            **spoken,
        }


@dataclass(frozen=True, slots=True)
class MemoryEntry:
    """A turn, and the name under which it is found again."""

    name: str
    turn: RememberedTurn


def _size(value: Any) -> int:
    if isinstance(value, list):
        return 60 + sum(map(_size, value))
    return 200 + sum(map(_size, value.values())) if isinstance(value, dict) else getsizeof(value)
