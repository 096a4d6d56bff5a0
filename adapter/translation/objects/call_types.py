"""The types of output items that Chat shows as tool calls (docs/mapping.md#output-items).

All code that reads, streams or writes calls is derived from `CALL_TYPES`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

CallKind = Literal["function", "custom"]
"""The type of a tool call on Chat, which is also the key of its name and payload there."""


class CallType(NamedTuple):
    """A type of call, on both APIs.

    `item`: the type of its output item. `kind`: the type of the tool call on Chat. `payload`: the
    field of its arguments, on both APIs. `output`: the type of the item with its result. `events`:
    the events of its payload, without `.delta` and `.done`. `is_json`: the payload is a JSON
    object, for which servers and clients also write null.
    """

    item: str
    kind: CallKind
    payload: str
    output: str
    events: str
    is_json: bool = False

    @property
    def origin(self) -> str:
        """The `kind` of an `Origin` of such a call."""
        return f"{self.kind}_call"


FUNCTION_CALL = CallType(
    "function_call",
    "function",
    "arguments",
    "function_call_output",
    "response.function_call_arguments",
    is_json=True,
)

CALL_TYPES: Mapping[str, CallType] = {
    one.item: one
    for one in (
        FUNCTION_CALL,
        CallType(
            "custom_tool_call",
            "custom",
            "input",
            "custom_tool_call_output",
            "response.custom_tool_call_input",
        ),
    )
}
"""By the type of the output item."""

CALL_KINDS: Mapping[str, CallType] = {one.kind: one for one in CALL_TYPES.values()}
"""By the type of the tool call on Chat."""

CALL_EVENTS: Mapping[str, CallType] = {
    f"{one.events}.{step}": one for one in CALL_TYPES.values() for step in ("delta", "done")
}
"""By the types of the events of a payload."""

CALL_OUTPUTS = frozenset(one.output for one in CALL_TYPES.values())
"""The types of the items with a call's result."""


def call_type_of(item: Mapping[str, Any]) -> CallType | None:
    """Return the type of a call item; None for any other item."""
    kind = item.get("type")
    return CALL_TYPES.get(kind) if isinstance(kind, str) else None


def call_type_on_chat(call: Mapping[str, Any]) -> CallType:
    """Return the type of a tool call of Chat, or of a delta of one; a function unless it says so.

    Mocks and compatible servers may leave out its `type`.
    """
    given = call.get("type")
    for one in CALL_TYPES.values():
        if one is not FUNCTION_CALL and (given == one.kind or isinstance(call.get(one.kind), dict)):
            return one
    return FUNCTION_CALL
