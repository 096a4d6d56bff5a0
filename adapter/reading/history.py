"""An answer and its tools' results, as entries of the next request's history, on either API."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from adapter.errors import Unsupported
from adapter.translation.identifiers import call_id
from adapter.translation.requests.content import output_text

from .sdk_objects import fields, plain

if TYPE_CHECKING:
    from .events import ToolCallDone
    from .turn import ToolCall, Turn

Entry = dict[str, Any]


def message(turn: Turn[Any]) -> Entry:
    """Make an assistant message; content is null where the answer is a call or a refusal alone, as in Chat's replies."""
    made: Entry = {"role": "assistant", "content": turn.text}
    if not turn.text and (turn.tool_calls or turn.refusal):
        made["content"] = None
    if turn.refusal:
        made["refusal"] = turn.refusal
    calls = [_call(call) for call in turn.tool_calls if call.type != "function_call"]
    if calls:
        made["tool_calls"] = calls
    for call in turn.tool_calls:
        if call.type == "function_call":
            made["function_call"] = {"name": call.name, "arguments": call.arguments}
    return made


def _call(call: ToolCall) -> Entry:
    if call.type == "custom":
        return {"id": call.id, "type": "custom", "custom": {"name": call.name, "input": call.arguments}}
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}


def items(turn: Turn[Any]) -> list[Entry]:
    """Make input items: of a Response's own items where there are any, else of what the turn says."""
    output = fields(turn.raw).get("output")
    kept = [_item(plain(item)) for item in output] if isinstance(output, list) else []
    while kept and (kept[-1] is None or kept[-1]["type"] == "reasoning"):
        kept.pop()  # reasoning without the item that follows it is refused (recording 684)
    own = [item for item in kept if item is not None]
    if own:
        return own
    parts = [output_text(turn.text)] if turn.text or not (turn.refusal or turn.tool_calls) else []
    parts += [{"type": "refusal", "refusal": turn.refusal}] if turn.refusal else []
    return [*([_said(parts)] if parts else []), *(_call_item(call) for call in turn.tool_calls)]


def _said(parts: list[Entry]) -> Entry:
    return {"type": "message", "role": "assistant", "content": parts}  # the form that every server takes


def _call_item(call: ToolCall) -> Entry:
    kind, written = ("custom_tool_call", "input") if call.type == "custom" else ("function_call", "arguments")
    return {"type": kind, "call_id": _id(call), "name": call.name, written: call.arguments}


def _id(call: ToolCall | ToolCallDone) -> str:
    return call_id(call.id or f"call_{call.name}")  # the deprecated form has no id, and one call


def _item(item: Any) -> Entry | None:
    """Take of a Response's item what goes back as input; None for what doesn't."""
    match item:
        case {"type": "message", "content": [_, *_] as content}:
            parts = [part for part in map(_part, content) if part is not None]
            made = _said(parts)
            if item.get("phase") is not None:
                made["phase"] = item["phase"]
            return made if parts else None
        case {"type": "function_call" | "custom_tool_call" as kind}:
            keys = ("name", "namespace", "input" if kind == "custom_tool_call" else "arguments")
            made = {"type": kind, "call_id": call_id(str(item.get("call_id") or item.get("id")))}
            return made | {key: item[key] for key in keys if item.get(key) is not None}
        case {"type": "reasoning", "encrypted_content": str(sealed)} if sealed:
            return {"type": "reasoning", "summary": item.get("summary") or [], "encrypted_content": sealed}
    return None


def _part(part: Any) -> Entry | None:
    match part:
        case {"type": "output_text", "text": str(text)}:
            return output_text(text)
        case {"type": "refusal", "refusal": str(text)}:
            return {"type": "refusal", "refusal": text}
    return None


class ToolResult(Entry):
    """A tool's result. As a dict it is Chat's message; `as_items()` is the same for the Responses API."""

    def __init__(self, entry: Mapping[str, Any], items: list[Entry]) -> None:
        super().__init__(entry)
        self._items = items

    def as_message(self) -> Entry:
        """Return the message for Chat's `messages`."""
        return dict(self)

    def as_items(self) -> list[Entry]:
        """Return the items for the Responses API's `input`."""
        return list(self._items)

    def __repr__(self) -> str:
        return f"ToolResult({self.get('tool_call_id') or self.get('name')!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        return ToolResult, (dict(self), self._items)


def tool_result(call: ToolCall | ToolCallDone, output: Any) -> ToolResult:
    """Make the history entry with a tool's result.

    A string goes as it is, None as an empty one, a list of parts (`text`, `image_url`, `file`, or `input_text`, `input_image`,
    `input_file`) in each API's own shape, and everything else as JSON, Pydantic models and dataclasses included. Images and files in
    results are the Responses API's: Chat Completions itself takes text there. Raises TypeError for what is no JSON, and
    Unsupported for a part that Chat has no form for (an image by `file_id`).
    """
    content: Any
    given: Any
    if _are_parts(output):
        content, given = [_chat_part(part) for part in output], [_input_part(part) for part in output]
    else:
        content = given = _text(output)
    kind = "custom_tool_call_output" if call.type == "custom" else "function_call_output"
    items = [{"type": kind, "call_id": _id(call), "output": given}]
    if call.type == "function_call":
        return ToolResult({"role": "function", "name": call.name, "content": content}, items)
    return ToolResult({"role": "tool", "tool_call_id": call.id, "content": content}, items)


def _text(output: Any) -> str:
    if output is None:
        return ""
    if isinstance(output, str):
        return output
    if isinstance(output, (bytes, bytearray, memoryview)):
        raise TypeError("a tool's result can't be bytes: give text, something that is JSON, or parts")
    from pydantic_core import PydanticSerializationError, to_json

    try:
        return to_json(output).decode()
    except PydanticSerializationError as error:
        raise TypeError(f"a tool's result has to be text, JSON or parts, not {type(output).__name__}") from error


def _are_parts(output: Any) -> bool:
    """Tell parts from a JSON list of objects that happen to have a `type`."""
    return isinstance(output, (list, tuple)) and bool(output) and all(_is_part(part) for part in output)


def _is_part(part: Any) -> bool:
    if not isinstance(part, Mapping):
        return False
    match part.get("type"):
        case "text" | "input_text":
            return isinstance(part.get("text"), str)
        case "image_url":
            return isinstance(part.get("image_url"), (str, Mapping))
        case "file":
            return isinstance(part.get("file"), Mapping)
        case "input_image":
            return bool(part.get("image_url") or part.get("file_id"))
        case "input_file":
            return bool(part.get("file_id") or part.get("file_data") or part.get("file_url"))
    return False


def _chat_part(part: Mapping[str, Any]) -> Entry:
    match part["type"]:
        case "input_text":
            return {**part, "type": "text"}
        case "input_image":
            if not part.get("image_url"):
                raise Unsupported("output.file_id", "Chat Completions has no images by file_id")
            image = {"url": part["image_url"]}
            return {"type": "image_url", "image_url": image | _some(part, "detail")}
        case "input_file":
            return {"type": "file", "file": _some(part, "file_id", "file_data", "filename", "file_url")}
    return dict(part)


def _input_part(part: Mapping[str, Any]) -> Entry:
    match part["type"]:
        case "text":
            return {**part, "type": "input_text"}
        case "image_url":
            given = part["image_url"]
            image: Mapping[str, Any] = {"url": given} if isinstance(given, str) else given
            return {"type": "input_image", "image_url": image.get("url"), "detail": image.get("detail") or "auto"}
        case "file":
            return {"type": "input_file", **_some(part["file"], *part["file"])}
    return dict(part)


def _some(part: Mapping[str, Any], *keys: str) -> Entry:
    return {key: part[key] for key in keys if part.get(key) is not None}
