"""Read Chat's messages from the formats of logs: OpenAI, OpenTelemetry, LangChain, span attributes.

The keys of a message tell its format. What can't be read as a message is left out; if nothing is
left, the log has no messages.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from adapter._util import json_codec

from .json_path import parse, read_text

Message = dict[str, Any]

PLACEHOLDER_MESSAGES: list[Message] = [{"role": "user", "content": "(not in the log)"}]
"""Used in place of messages that aren't in the log."""

_MAX_MESSAGES = 50_000
_CONTENT = parse("gen_ai.event.content")  # Azure
_ROLES = {
    "human": "user",
    "ai": "assistant",
    "aimessagechunk": "assistant",
    "model": "assistant",
    "humanmessagechunk": "user",
}
_LANGCHAIN = frozenset(
    {
        "human",
        "ai",
        "system",
        "tool",
        "function",
        "chat",
        "developer",
        "AIMessageChunk",
        "HumanMessageChunk",
    }
)
_EVENTS = {
    f"gen_ai.{role}.message": role for role in ("system", "user", "assistant", "tool", "developer")
}


def messages_of(value: Any, system: Any = None) -> list[Message] | None:
    """Return the messages in a value, with the instructions in `system` first; None if none."""
    found = list(_messages(value))
    instructions = list(_instructions(system))
    return [*instructions, *found] if found or instructions else None


def _messages(value: Any, depth: int = 0) -> Iterable[Message]:
    value = read_text(value)
    if isinstance(value, str):
        return [{"role": "user", "content": value}] if value and depth < 2 else []
    if isinstance(value, dict):
        if (
            isinstance(value.get("messages"), (list, str)) and "role" not in value
        ):  # {"messages": […], "tools": […]}
            return _messages(value["messages"], depth + 1) if depth < 3 else []
        return _message(value)
    if not isinstance(value, list) or depth > 2:
        return []
    if (
        depth and len(value) == 2 and all(isinstance(one, str) for one in value)
    ):  # ["human", "Hello"]
        return [{"role": _role(value[0]), "content": value[1]}]
    return [message for one in value[:_MAX_MESSAGES] for message in _messages(one, depth + 1)]


def _message(value: dict[str, Any]) -> Iterable[Message]:
    """Read one message; several if OpenTelemetry put the outputs of several tools into one."""
    for reader in _READERS:
        found = reader(value)
        if found is not None:
            return found
    return []


def _of_langchain(value: dict[str, Any]) -> list[Message] | None:
    kind, inner = value.get("type"), value.get("data")
    if kind == "constructor" and isinstance(value.get("kwargs"), dict):
        inner, path = value["kwargs"], value.get("id")
        last = path[-1] if isinstance(path, list) and path and isinstance(path[-1], str) else ""
        kind = (
            inner.get("type") or last.removesuffix("Message").removesuffix("MessageChunk").lower()
        )
    elif kind in _LANGCHAIN if isinstance(kind, str) else False:
        inner = inner if isinstance(inner, dict) else value
        if "content" not in inner or "role" in value:
            return None
    else:
        return None
    more = inner.get("additional_kwargs")
    more = more if isinstance(more, dict) else {}
    role = inner.get("role") if kind == "chat" else more.get("__openai_role__", kind)
    out: Message = {"role": _role(role), "content": _content(inner.get("content"))}
    calls = inner.get("tool_calls") or more.get("tool_calls")
    if isinstance(calls, list) and calls:
        out["tool_calls"] = [_call(call) for call in calls]
        out["content"] = out["content"] or None
    if isinstance(more.get("function_call"), dict):
        out["function_call"] = more["function_call"]
    _copy_strings(out, inner, "name", "tool_call_id")
    return [out]


def _of_event(value: dict[str, Any]) -> list[Message] | None:
    """Read a span event or a log record that describes one message."""
    name = value.get("name")
    role = _EVENTS.get(name) if isinstance(name, str) else None
    if role is None:
        return [] if isinstance(name, str) and name.startswith("gen_ai.") else None
    inner = next(
        (
            one
            for one in (value.get("body"), read_text(_CONTENT.find(value)))
            if isinstance(one, dict)
        ),
        value,
    )
    if inner is not value and isinstance(inner.get("role"), str):
        return _of_openai(inner)
    out: Message = {"role": role, "content": _content(inner.get("content"))}
    if isinstance(inner.get("tool_calls"), list):
        out["tool_calls"] = [_call(call) for call in inner["tool_calls"]]
    if role == "tool" and isinstance(inner.get("id"), str):
        out["tool_call_id"] = inner["id"]
    return [out]


def _of_parts(value: dict[str, Any]) -> list[Message] | None:
    parts = read_text(value.get("parts"))
    if not isinstance(parts, list) or not isinstance(value.get("role"), str):
        return None
    role = _role(value["role"])
    parts = [
        part if isinstance(part, dict) else {"type": "text", "content": part}
        for part in parts[:_MAX_MESSAGES]
    ]
    outputs = [part for part in parts if part.get("type") == "tool_call_response"]
    if outputs:
        return [
            {"role": "tool", "tool_call_id": part.get("id"), "content": _tool_output_text(part)}
            for part in outputs
        ]
    calls = [_call(part) for part in parts if part.get("type") == "tool_call"]
    content = [made for part in parts if (made := _part(part)) is not None]
    out: Message = {"role": role, "content": _text_or_parts(content)}
    if calls:
        out["tool_calls"] = calls
        out["content"] = out["content"] or None
    _copy_strings(out, value, "name")
    return [out]


def _of_attributes(value: dict[str, Any]) -> list[Message] | None:
    """Read a message of OpenInference, whose parts are nested under names of their own."""
    inner = value.get("message")
    if not isinstance(inner, dict) or not isinstance(inner.get("role"), str):
        return None
    contents = inner.get("contents")
    content = _content(inner.get("content"))
    if isinstance(contents, list):
        parts = [one.get("message_content") for one in contents if isinstance(one, dict)]
        content = [
            made for part in parts if isinstance(part, dict) and (made := _part(part)) is not None
        ]
    out: Message = {"role": inner["role"], "content": content}
    calls = inner.get("tool_calls")
    if isinstance(calls, list) and calls:
        out["tool_calls"] = [
            _call(call.get("tool_call", call) if isinstance(call, dict) else call) for call in calls
        ]
    if isinstance(inner.get("function_call_name"), str):
        out["function_call"] = {
            "name": inner["function_call_name"],
            "arguments": inner.get("function_call_arguments_json", ""),
        }
    _copy_strings(out, inner, "name", "tool_call_id")
    return [out]


def _of_openai(value: dict[str, Any]) -> list[Message] | None:
    if not isinstance(value.get("role"), str):
        return None
    calls = value.get("tool_calls")
    if isinstance(calls, list) and any(isinstance(call, dict) and "name" in call for call in calls):
        return [{**value, "tool_calls": [_call(call) for call in calls]}]
    return [value]


_READERS: tuple[Callable[[dict[str, Any]], list[Message] | None], ...] = (
    _of_event, _of_parts, _of_langchain, _of_attributes, _of_openai,
)  # fmt: skip


def _instructions(value: Any) -> Iterable[Message]:
    value = read_text(value)
    if isinstance(value, str):
        return [{"role": "system", "content": value}] if value else []
    parts = value if isinstance(value, list) else [value]
    if any(isinstance(part, dict) and "role" in part for part in parts):
        return _messages(value)
    made = [_part(part) for part in parts if isinstance(part, dict)]
    content = _text_or_parts([part for part in made if part is not None])
    return [{"role": "system", "content": content}] if content else []


def _part(part: dict[str, Any]) -> dict[str, Any] | None:
    """Convert one content part: OpenTelemetry's, OpenInference's, or Chat's own."""
    kind, content, media = part.get("type"), part.get("content"), part.get("mime_type")
    modality = part.get("modality")
    image = part.get("image")
    match kind:
        case "text":
            return {
                "type": "text",
                "text": content if isinstance(content, str) else part.get("text", ""),
            }
        case "uri" if modality in (None, "image"):
            return {"type": "image_url", "image_url": {"url": part.get("uri", "")}}
        case "blob" if modality in (None, "image"):
            return {
                "type": "image_url",
                "image_url": {"url": f"data:{media or 'image/png'};base64,{_text(content)}"},
            }
        case "blob" if modality == "audio":
            return {
                "type": "input_audio",
                "input_audio": {
                    "data": _text(content),
                    "format": _text(media).rpartition("/")[2] or "wav",
                },
            }
        case "blob" | "uri" | "file":
            found = part.get("file_id")
            return {
                "type": "file",
                "file": {"file_id": found}
                if isinstance(found, str)
                else {"file_data": _text(content)},
            }
        case "image" if isinstance(image, dict):
            inner = image.get("image")
            return {
                "type": "image_url",
                "image_url": {"url": inner.get("url", "") if isinstance(inner, dict) else ""},
            }
        case "tool_call" | "tool_call_response" | "reasoning" | "thinking":
            return None
        case _:
            return part if isinstance(kind, str) else None


def _call(call: Any) -> Any:
    """Convert a tool call: with arguments as text or JSON, or as Chat has it."""
    if not isinstance(call, dict):
        return call
    inner = call.get("function")
    if not isinstance(inner, dict):
        if "custom" in call or not isinstance(call.get("name"), str):
            return call
        inner = call
    arguments = inner.get("arguments", inner.get("args", ""))
    written = arguments if isinstance(arguments, str) else _json(arguments)
    return {
        "id": call.get("id"),
        "type": "function",
        "function": {"name": inner.get("name"), "arguments": written},
    }


def _content(value: Any) -> Any:
    """Return a content with strings as Chat's parts, without tool calls and reasoning."""
    if not isinstance(value, list):
        return value
    return [
        {"type": "text", "text": part} if isinstance(part, str) else part
        for part in value
        if not (
            isinstance(part, dict) and part.get("type") in ("tool_use", "reasoning", "thinking")
        )
    ]


def _text_or_parts(parts: list[dict[str, Any]]) -> Any:
    """Return a single text part as a string, otherwise the parts."""
    return parts[0]["text"] if len(parts) == 1 and parts[0].get("type") == "text" else parts or ""


def _tool_output_text(part: dict[str, Any]) -> str:
    found = part.get("response", part.get("result", part.get("content", "")))
    return found if isinstance(found, str) else _json(found)


def _json(value: Any) -> str:
    try:
        return json_codec.dumps(value).decode()
    except json_codec.Unwritable:  # nested too deeply, for example
        return ""


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _role(value: Any) -> str:
    return _ROLES.get(value.lower(), value) if isinstance(value, str) else "user"


def _copy_strings(out: Message, inner: dict[str, Any], *keys: str) -> None:
    for key in keys:
        if isinstance(inner.get(key), str) and inner[key]:
            out[key] = inner[key]
