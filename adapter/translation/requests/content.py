"""Content parts, Chat → Responses (docs/mapping.md#content-parts)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from adapter.errors import MalformedRequest
from adapter.translation.json_types import json_type, string
from adapter.translation.objects.content_parts import (
    Part,
    image_object,
    input_file,
    input_image,
    input_text,
    non_null,
    output_text,
)
from adapter.translation.objects.content_parts import refusal as refusal_part

from .builder import RequestBuilder


def _object(part: Part, key: str, path: str) -> Part:
    value = part.get(key)
    if not isinstance(value, dict):
        raise MalformedRequest(f"{path}.{key}", f"expected an object, got {json_type(value)}")
    return value


def _text(part: Part, path: str) -> Part:
    return input_text(string(part.get("text"), f"{path}.text"))


def _image(part: Part, path: str) -> Part:
    image = image_object(part.get("image_url"))
    if not isinstance(image, dict):
        raise MalformedRequest(f"{path}.image_url", f"expected an object, got {json_type(image)}")
    return input_image(string(image.get("url"), f"{path}.image_url.url"), image.get("detail"))


def _file(part: Part, path: str) -> Part:
    file = non_null(_object(part, "file", path))
    if not file.keys() & {"file_id", "file_data", "file_url"}:
        raise MalformedRequest(f"{path}.file", "neither file_id nor file_data is given")
    known = _WRAPPED_KEYS["file"]
    return input_file({key: value for key, value in file.items() if key in known})


_INPUT_CONVERTERS: dict[str, Callable[[Part, str], Part]] = {
    "text": _text,
    "image_url": _image,
    "file": _file,
}

# The known keys of the object in a part.
_WRAPPED_KEYS = {
    "image_url": {"url", "detail"},
    "file": {"file_id", "file_data", "file_url", "filename", "detail"},
}


def _parts(content: Any, path: str) -> list[Part]:
    if not isinstance(content, list):
        raise MalformedRequest(
            path, f"expected a string or an array of parts, got {json_type(content)}"
        )
    for p, part in enumerate(content):
        if not isinstance(part, dict):
            raise MalformedRequest(f"{path}[{p}]", f"expected an object, got {json_type(part)}")
    return content


def _unknown_part(builder: RequestBuilder, part: Part, path: str) -> None:
    kind = part.get("type")
    if not isinstance(kind, str):
        raise MalformedRequest(f"{path}.type", f"expected a string, got {json_type(kind)}")
    if kind == "input_audio":
        builder.unsupported(path, "input_audio", "the Responses API takes no audio input")
    else:
        builder.unsupported(path, "messages", "unknown type of content part", droppable=False)


def _drop_unknown_keys(builder: RequestBuilder, part: Part, path: str, known: set[str]) -> None:
    builder.leave_out_unknown(path, part, known, "not a field of this kind of part")


def input_content(
    builder: RequestBuilder, content: Any, path: str
) -> tuple[str | list[Part], tuple[str, ...]]:
    """Translate the content of a user, system, developer or tool message.

    A string stays a string. Returns the content and, for each part, its path inside the message.
    """
    if isinstance(content, str):
        return content, ()
    parts: list[Part] = []
    origins: list[str] = []
    for p, part in enumerate(_parts(content, path)):
        here = f"{path}[{p}]"
        kind = part.get("type")
        if not isinstance(kind, str) or kind not in _INPUT_CONVERTERS:
            _unknown_part(builder, part, here)
            continue
        new = _INPUT_CONVERTERS[kind](part, here)
        if part.get("prompt_cache_breakpoint") is not None:
            new["prompt_cache_breakpoint"] = part["prompt_cache_breakpoint"]
        _drop_unknown_keys(builder, part, here, {"type", kind, "prompt_cache_breakpoint"})
        if kind != "text" and isinstance(wrapped := part[kind], dict):
            _drop_unknown_keys(builder, wrapped, f"{here}.{kind}", _WRAPPED_KEYS[kind])
        parts.append(new)
        origins.append(f"content[{p}]")
    if content and not parts and not builder.held:
        raise MalformedRequest(path, "the content is empty without its unsupported parts")
    return parts, tuple(origins)


def output_content(
    builder: RequestBuilder, content: Any, refusal: Any, path: str
) -> tuple[list[Part], tuple[str, ...]]:
    """Translate an assistant message's content and refusal; returns what `input_content` does."""
    parts: list[Part] = []
    origins: list[str] = []
    if isinstance(content, str):
        if content:
            parts.append(output_text(content))
            origins.append("content")
    elif content is not None:
        for p, part in enumerate(_parts(content, f"{path}.content")):
            here = f"{path}.content[{p}]"
            match part.get("type"):
                case "text":
                    parts.append(output_text(string(part.get("text"), f"{here}.text")))
                case "refusal":
                    parts.append(refusal_part(string(part.get("refusal"), f"{here}.refusal")))
                case _:
                    _unknown_part(builder, part, here)
                    continue
            if part.get("prompt_cache_breakpoint") is not None:
                why = "the Responses API takes no cache breakpoint on the model's own text"
                builder.unsupported(
                    f"{here}.prompt_cache_breakpoint", "prompt_cache_breakpoint", why
                )
            _drop_unknown_keys(
                builder, part, here, {"type", "text", "refusal", "prompt_cache_breakpoint"}
            )
            origins.append(f"content[{p}]")
    if refusal is not None:
        parts.append(refusal_part(string(refusal, f"{path}.refusal")))
        origins.append("refusal")
    return parts, tuple(origins)
