"""Tool results as entries of the next request's history, for either API."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from adapter.errors import Unsupported
from adapter.translation.objects.content_parts import (
    image_object,
    image_url,
    input_file,
    input_image,
    non_null,
)
from adapter.translation.objects.tool_calls import output_item

from .turn import Entry, call_id_of
from .types import call_type_for

if TYPE_CHECKING:
    from .events import ToolCallDone
    from .types import ToolCall


class ToolResult(Entry):
    """A tool's result: as a dict, Chat's message; `as_items()` returns the items for Responses."""

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
    """Make the history entry for the result of a tool call.

    A string is sent unchanged, None as an empty string, a list of parts (`text`, `image_url`,
    `file`, or `input_text`, `input_image`, `input_file`) in each API's own shape, and anything else
    as JSON, including Pydantic models and dataclasses. Only the Responses API takes images and
    files in results; Chat Completions takes text. Raises TypeError for values that aren't JSON, and
    Unsupported for a part that Chat has no form for (an image by `file_id`).
    """
    content: Any
    given: Any
    if _are_parts(output):
        content, given = (
            [_chat_part(part) for part in output],
            [_input_part(part) for part in output],
        )
    else:
        content = given = _text(output)
    call_id = call_id_of(call.id, call.name)
    items = [output_item(call_type_for(call.type), call_id, given)]
    if call.type == "function_call":
        return ToolResult({"role": "function", "name": call.name, "content": content}, items)
    return ToolResult({"role": "tool", "tool_call_id": call.id, "content": content}, items)


def _text(output: Any) -> str:
    if output is None:
        return ""
    if isinstance(output, str):
        return output
    if isinstance(output, (bytes, bytearray, memoryview)):
        raise TypeError("a tool's result can't be bytes: expected text, JSON or parts")
    from pydantic_core import PydanticSerializationError, to_json

    try:
        return to_json(output).decode()
    except PydanticSerializationError as error:
        raise TypeError(
            f"a tool's result can't be {type(output).__name__}: expected text, JSON or parts"
        ) from error


def _are_parts(output: Any) -> bool:
    """Return whether a value is a list of parts, not a JSON list of objects with a `type`."""
    return (
        isinstance(output, (list, tuple))
        and bool(output)
        and all(_is_part(part) for part in output)
    )


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
                raise Unsupported(
                    "output.file_id", "Chat Completions doesn't support images by file_id"
                )
            return image_url(part["image_url"], part.get("detail"))
        case "input_file":
            keys = ("file_id", "file_data", "filename", "file_url")
            return {"type": "file", "file": non_null({key: part.get(key) for key in keys})}
    return dict(part)


def _input_part(part: Mapping[str, Any]) -> Entry:
    match part["type"]:
        case "text":
            return {**part, "type": "input_text"}
        case "image_url":
            image = image_object(part["image_url"])
            return input_image(image.get("url"), image.get("detail"))
        case "file":
            return input_file(part["file"])
    return dict(part)
