"""Tool calls and their results, as either API writes them (docs/mapping.md#output-items)."""

from __future__ import annotations

from typing import Any

from adapter.errors import MalformedReply
from adapter.translation.types import ReplyContext

from .call_types import CALL_TYPES, CallType
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
    call_type = CALL_TYPES[item["type"]]
    key = call_type.payload
    payload = payload_of(f"{path}.{key}", item.get(key))
    if payload is None:  # dialect: several (null for no arguments)
        payload = "{}" if call_type.is_json and key in item else ""
    return tool_call(call_type, context.call_ids.get(call_id, call_id), name, payload)


def tool_call(call_type: CallType, id_: str, name: str, payload: str) -> dict[str, Any]:
    """Return a tool call of Chat."""
    return {
        "id": id_,
        "type": call_type.kind,
        call_type.kind: {"name": name, call_type.payload: payload},
    }


def call_item(call_type: CallType, call_id: str, name: str, payload: str) -> dict[str, Any]:
    """Return the input item of a call."""
    return {"type": call_type.item, "call_id": call_id, "name": name, call_type.payload: payload}


def output_item(call_type: CallType, call_id: str, output: Any) -> dict[str, Any]:
    """Return the input item of a call's result."""
    return {"type": call_type.output, "call_id": call_id, "output": output}
