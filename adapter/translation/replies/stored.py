"""Translate stored Responses to stored chat completions (docs/mapping.md#stored-completions)."""

from __future__ import annotations

from typing import Any

from adapter.errors import MalformedReply
from adapter.translation.json_types import json_type
from adapter.translation.objects.call_types import CALL_OUTPUTS, call_type_of
from adapter.translation.objects.content_parts import image_url
from adapter.translation.objects.tool_calls import call_to_chat
from adapter.translation.types import ReplyContext

from .response_to_chat import response_to_completion


def retrieved(response: Any) -> dict[str, Any]:
    """Translate a retrieved Response; the completion includes its metadata."""
    return response_to_completion(response, ReplyContext(metadata=True)).body


def deleted(body: Any, completion_id: str) -> dict[str, Any]:
    """Translate the reply to a deletion."""
    done = body.get("deleted") if isinstance(body, dict) else None
    return {"id": completion_id, "object": "chat.completion.deleted", "deleted": done is not False}


def messages(body: Any, *, newest_first: bool = False) -> dict[str, Any]:
    """Translate a page of input items to a page of messages.

    An assistant's text and the calls after it are one message. A message has the id of the last of
    its items on the page, after which the next page begins. Reasoning and items that Chat has no
    messages for are left out.
    """
    if not isinstance(body, dict) or not isinstance(body.get("data"), list):
        raise MalformedReply("data", f"expected an array, got {json_type(body)}")
    items = body["data"]
    for i, item in enumerate(items):
        if not isinstance(item, dict):
            raise MalformedReply(f"data[{i}]", f"expected an object, got {json_type(item)}")
    page: list[dict[str, Any]] = []
    for item in reversed(items) if newest_first else items:
        _add(page, item, newest_first=newest_first)
    if newest_first:
        page.reverse()
    return {
        "object": "list",
        "data": page,
        "first_id": page[0]["id"] if page else None,
        "last_id": page[-1]["id"] if page else None,
        "has_more": bool(body.get("has_more")),
    }


def _add(page: list[dict[str, Any]], item: dict[str, Any], *, newest_first: bool) -> None:
    kind = item.get("type", "message")
    if kind == "message":
        page.append(
            {
                "id": item.get("id"),
                "role": item.get("role"),
                **_content(item.get("content")),
                "name": None,
            }
        )
    elif call_type_of(item) is not None:
        if not page or page[-1]["role"] != "assistant":
            page.append(
                {
                    "id": None,
                    "role": "assistant",
                    "content": None,
                    "content_parts": None,
                    "name": None,
                }
            )
        if not newest_first or page[-1]["id"] is None:
            page[-1]["id"] = item.get("id")
        page[-1].setdefault("tool_calls", []).append(call_to_chat("data", item, ReplyContext()))
    elif isinstance(kind, str) and kind in CALL_OUTPUTS:
        text = _content(item.get("output"))
        page.append(
            {
                "id": item.get("id"),
                "role": "tool",
                "tool_call_id": item.get("call_id"),
                **text,
                "name": None,
            }
        )


def _content(content: Any) -> dict[str, Any]:
    """Return Chat's two fields for content: one text, or parts."""
    if not isinstance(content, list):
        return {"content": content, "content_parts": None}
    parts: list[dict[str, Any]] = []
    refusal = None
    for part in content:
        match part.get("type") if isinstance(part, dict) else None:
            case "input_text" | "output_text":
                parts.append({"type": "text", "text": part.get("text")})
            case "input_image":
                parts.append(image_url(part.get("image_url"), part.get("detail") or "auto"))
            case "refusal":
                refusal = part.get("refusal")
    more = {} if refusal is None else {"refusal": refusal}
    if len(parts) == 1 and parts[0]["type"] == "text":
        return {"content": parts[0]["text"], "content_parts": None, **more}
    return {"content": None, "content_parts": parts or None, **more}
