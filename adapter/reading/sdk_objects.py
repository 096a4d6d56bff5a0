"""Access to the fields of SDK objects and plain dicts alike."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# Set by the SDK's own parsing; kept unchanged.
_PARSED = {"parsed", "parsed_arguments"}


def fields(value: Any) -> Mapping[str, Any]:
    """Return the fields of an SDK object or a dict, if possible without a copy. Don't modify them.

    They include fields that the SDK's types don't declare, such as `reasoning_content`.
    """
    if isinstance(value, dict):
        return value
    declared: Mapping[str, Any] | None = getattr(value, "__dict__", None)
    if declared is None:
        return value if isinstance(value, Mapping) else {}
    extra = getattr(value, "__pydantic_extra__", None)
    return {**declared, **extra} if extra else declared


def as_json(value: Any) -> Any:
    """Convert SDK objects to JSON recursively; values that the SDK has parsed stay unchanged.

    `model_dump` would warn about real replies, which don't fit the SDK's types
    (docs/wire-facts.md#sdk-types).
    """
    if value is None or isinstance(value, (str, int, float)):
        return value
    if isinstance(value, (list, tuple)):
        return [as_json(inner) for inner in value]
    if not isinstance(value, Mapping) and not hasattr(value, "__dict__"):
        return value
    return {
        key: inner if key in _PARSED else as_json(inner) for key, inner in fields(value).items()
    }


def text_of(content: Any) -> str:
    """Return a message's text; compatible servers may send it as a list of parts."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return ""
    texts = (fields(part).get("text") for part in content)
    return "".join(text for text in texts if isinstance(text, str))


def string(value: Any) -> str:
    """Return a string; "" for anything else."""
    return value if isinstance(value, str) else ""


def as_list(value: Any) -> list[Any]:
    """Return a list; an empty one for anything else."""
    return value if isinstance(value, list) else []


def key_of(value: Any) -> int | str | None:
    """Return a number or a string that can be a key; None for anything else."""
    return value if isinstance(value, (int, str)) else None


def count(value: Any) -> int:
    """Return a number of tokens; 0 for anything but a number."""
    return int(value) if isinstance(value, (int, float)) else 0
