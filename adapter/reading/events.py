"""The events of a stream: the same sequence from either API.

1. `TextDelta`, `RefusalDelta`, `ReasoningDelta`: the next piece, never empty.
2. `ToolCallStarted` once for each call, then its `ToolCallDelta`s, then one `ToolCallDone`: when
   the next call starts, if the arguments are a complete JSON object by then, otherwise at the end.
   Calls may interleave; `index` counts them. A truncated call has no `ToolCallDone`: it is in the
   turn, with a `problem`.
3. `Finished` once, last, after the source has ended.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Generic

from .turn import T_co, Turn
from .types import CallType


@dataclass(frozen=True, slots=True, repr=False)
class TextDelta:
    """The next piece of the text."""

    text: str

    def __repr__(self) -> str:
        return f"TextDelta({len(self.text)} characters)"


@dataclass(frozen=True, slots=True, repr=False)
class RefusalDelta:
    """The next piece of the refusal."""

    text: str

    def __repr__(self) -> str:
        return f"RefusalDelta({len(self.text)} characters)"


@dataclass(frozen=True, slots=True, repr=False)
class ReasoningDelta:
    """The next piece of the reasoning summary, or of the reasoning itself if a server sends it."""

    text: str

    def __repr__(self) -> str:
        return f"ReasoningDelta({len(self.text)} characters)"


@dataclass(frozen=True, slots=True)
class ToolCallStarted:
    """The model has begun to call a tool."""

    name: str
    id: str
    index: int
    type: CallType = "function"


@dataclass(frozen=True, slots=True, repr=False)
class ToolCallDelta:
    """The next piece of a call's arguments, or of a custom tool's input."""

    arguments: str
    id: str
    index: int

    def __repr__(self) -> str:
        return f"ToolCallDelta({len(self.arguments)} characters, index={self.index})"


@dataclass(frozen=True, slots=True, repr=False)
class ToolCallDone:
    """A call is complete; the fields are those of its `ToolCall` in the turn."""

    name: str
    arguments: str
    parsed: Any
    id: str
    index: int
    problem: str | None = None
    type: CallType = "function"

    def __repr__(self) -> str:
        bad = ", problem=…" if self.problem is not None else ""
        size = f"{len(self.arguments)} characters"
        return f"ToolCallDone(name={self.name!r}, {size}, index={self.index}{bad})"


@dataclass(frozen=True, slots=True)
class Finished(Generic[T_co]):
    """The answer is complete; `turn` equals the turn of the same answer read without streaming."""

    turn: Turn[T_co]


Event = (
    TextDelta
    | RefusalDelta
    | ReasoningDelta
    | ToolCallStarted
    | ToolCallDelta
    | ToolCallDone
    | Finished[T_co]
)
"""Any event; `Event[Model]` if the text is parsed as a Model."""
