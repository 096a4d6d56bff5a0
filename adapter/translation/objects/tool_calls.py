"""Tool calls, Responses → Chat (docs/mapping.md#output-items)."""

from __future__ import annotations

from typing import Any

from adapter.errors import MalformedReply
from adapter.translation.types import ReplyContext

from .output_items import call_id_of, name_of, payload_of


def call_to_chat(path: str, item: dict[str, Any], context: ReplyContext) -> dict[str, Any]:
    """Translate a call item into a tool call.

    Its id is the `call_id`, or the caller's id for it
    (docs/edge-cases.md#the-call-id-is-the-chat-id).
    """
    call_id, name = call_id_of(item), name_of(item.get("name"))
    if name is None or call_id is None:
        raise MalformedReply(
            f"{path}.{'call_id' if name else 'name'}", "a tool call without a name or an id"
        )
    made: dict[str, Any] = {"id": context.call_ids.get(call_id, call_id)}
    kind, key = (
        ("custom", "input") if item["type"] == "custom_tool_call" else ("function", "arguments")
    )
    written = payload_of(f"{path}.{key}", item.get(key))
    if written is None:  # dialect: several (null for no arguments)
        written = "{}" if key == "arguments" and key in item else ""
    return made | {"type": kind, kind: {"name": name, key: written}}
