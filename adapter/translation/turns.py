"""What is remembered of a reply with tool calls (MAPPING §2.7, EDGE_CASES 63 to 65).

A Response holds reasoning items in front of its calls; a chat history has no place for them. They are remembered as a ToolTurn, and put
back when the history comes back with the calls: see histories.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from sys import getsizeof
from typing import Any

from .untrusted import MAX_CALLS, MAX_ITEMS, list_of, reasoning_of, short

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
class Spoken:
    """The message in front of a turn's calls: after how many reasoning items it stood, its phase, id and text (a digest)."""

    at: int
    phase: str | None
    text: str
    id: str | None = None


@dataclass(frozen=True, slots=True)
class ToolTurn:
    """What one reply with tool calls held beside what Chat shows.

    `calls` are digests of the calls, in order; `before` holds, for each of them, the reasoning items in front of it, as the API
    gave them; `ids` are the call items' own ids. `user` names the user message in front of it.
    """

    calls: tuple[str, ...]
    before: tuple[tuple[Item, ...], ...]
    spoken: Spoken | None = None
    ids: tuple[str | None, ...] = ()
    user: str = ""

    @property
    def holds(self) -> bool:
        """Tell whether there is anything to put back."""
        return any(self.before) or (self.spoken is not None and self.spoken.phase is not None)

    @property
    def size(self) -> int:
        """About how many bytes it takes in memory."""
        size = 600 + 200 * len(self.calls)
        for items in self.before:
            for item in items:
                size += 800 + len(item["encrypted_content"])  # ASCII
                if item.get("summary") or item.get("content") or len(item) > 4:
                    size += _size(item)
        return size

    def to_json(self) -> Item:
        """Return it as JSON; `from_json` reads it."""
        said = self.spoken
        spoken = {"spoken": [said.at, said.phase, said.text, said.id]} if said is not None else {}
        return {
            "calls": list(self.calls),
            "before": [list(one) for one in self.before],
            "ids": list(self.ids),
            "user": self.user,
            **spoken,
        }

    @classmethod
    def from_json(cls, value: Any) -> ToolTurn:
        """Read what `to_json` wrote. Raises ValueError for anything else.

        Whoever can write to a shared store may have written it: what goes into requests is made anew, of the keys and types that
        a reasoning item has.
        """
        try:
            calls, before, ids = value["calls"], value["before"], value["ids"]
            spoken = _spoken_of(value["spoken"]) if "spoken" in value else None
            if not 0 < len(calls) == len(before) == len(ids) <= MAX_CALLS or sum(map(len, before)) > MAX_ITEMS:
                raise ValueError
            return cls(
                tuple([short(one) for one in list_of(calls)]),
                tuple([tuple([reasoning_of(item) for item in list_of(items)]) for items in list_of(before)]),
                spoken,
                tuple([None if one is None else short(one) for one in list_of(ids)]),
                short(value["user"]),
            )
        except (KeyError, TypeError, ValueError, AttributeError):
            raise ValueError("not a remembered turn") from None


@dataclass(frozen=True, slots=True)
class Memo:
    """A turn, and the name under which it is found again."""

    name: str
    turn: ToolTurn


def _spoken_of(value: Any) -> Spoken:
    at, phase, text, own = value
    if type(at) is not int or not 0 <= at <= MAX_ITEMS or phase not in (None, *PHASES):
        raise ValueError
    return Spoken(at, phase, short(text), None if own is None else short(own))


def _size(value: Any) -> int:
    if isinstance(value, list):
        return 60 + sum(map(_size, value))
    return 200 + sum(map(_size, value.values())) if isinstance(value, dict) else getsizeof(value)
