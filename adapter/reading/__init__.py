"""One reader for results and streams of both APIs (docs/decisions.md#one-reader-for-both-apis)."""

from .events import (
    Event,
    Finished,
    ReasoningDelta,
    RefusalDelta,
    TextDelta,
    ToolCallDelta,
    ToolCallDone,
    ToolCallStarted,
)
from .history import ToolResult, tool_result
from .iterators import AsyncEvents, Events
from .reader import read
from .tool_definitions import tools_for
from .turn import Turn
from .types import Citation, ToolCall, Usage

__all__ = [
    "AsyncEvents",
    "Citation",
    "Event",
    "Events",
    "Finished",
    "ReasoningDelta",
    "RefusalDelta",
    "TextDelta",
    "ToolCall",
    "ToolCallDelta",
    "ToolCallDone",
    "ToolCallStarted",
    "ToolResult",
    "Turn",
    "Usage",
    "read",
    "tool_result",
    "tools_for",
]
