"""Content parts, as either API writes them (docs/mapping.md#content-parts)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Part = dict[str, Any]


def input_text(text: Any) -> Part:
    """Return the part for a text of the request (Responses)."""
    return {"type": "input_text", "text": text}


def input_image(url: Any, detail: Any) -> Part:
    """Return the part for an image (Responses), where the detail is required."""
    return {"type": "input_image", "image_url": url, "detail": detail or "auto"}


def input_file(file: Mapping[str, Any]) -> Part:
    """Return the part for a file (Responses); nulls are left out."""
    return {"type": "input_file", **non_null(file)}


def image_url(url: Any, detail: Any) -> Part:
    """Return the part for an image (Chat)."""
    return {"type": "image_url", "image_url": {"url": url, **non_null({"detail": detail})}}


def image_object(value: Any) -> Any:
    """Return the `image_url` of an image part (Chat) as an object, if it is a URL."""
    # dialect: programs (docs/wire-facts.md#input-shapes)
    return {"url": value} if isinstance(value, str) else value


def output_text(text: str) -> Part:
    """Return the part for an assistant's text (docs/mapping.md#assistant-messages)."""
    return {"type": "output_text", "text": text, "annotations": []}


def refusal(text: str) -> Part:
    """Return the part for an assistant's refusal, the same on both APIs."""
    return {"type": "refusal", "refusal": text}


def assistant_item(parts: list[Part]) -> dict[str, Any]:
    """Return the input item for an assistant's message."""
    # dialect: vLLM, llama.cpp (the type is required; docs/wire-facts.md#input-shapes)
    return {"type": "message", "role": "assistant", "content": parts}


def non_null(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return a copy without nulls."""
    return {key: value for key, value in values.items() if value is not None}
