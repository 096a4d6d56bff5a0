"""The SDK's objects and plain dicts, read alike."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# What the SDK's own parsing left in its objects: it goes on as it is.
_PARSED = {"parsed", "parsed_arguments"}


def fields(value: Any) -> Mapping[str, Any]:
    """Return the fields of an SDK object, or of a dict, without a copy where that can be. Never to be written to.

    Fields that the SDK's types don't know are among them: `reasoning_content`, `annotations` of a delta.
    """
    if isinstance(value, dict):
        return value
    declared: Mapping[str, Any] | None = getattr(value, "__dict__", None)
    if declared is None:
        return value if isinstance(value, Mapping) else {}
    extra = getattr(value, "__pydantic_extra__", None)
    return {**declared, **extra} if extra else declared


def as_json(value: Any) -> Any:
    """Turn SDK objects into JSON, all the way down; what the SDK has parsed stays as it is.

    Not by `model_dump`: it warns about real replies, which don't fit the SDK's types (docs/wire-facts.md#sdk-types).
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
    """Return a message's text; compatible servers send it as a list of parts as well."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return ""
    texts = (fields(part).get("text") for part in content)
    return "".join(text for text in texts if isinstance(text, str))


def string(value: Any) -> str:
    """Return a string; "" where there is none."""
    return value if isinstance(value, str) else ""


def as_list(value: Any) -> list[Any]:
    """Return a list; an empty one where there is none."""
    return value if isinstance(value, list) else []


def key_of(value: Any) -> int | str | None:
    """Return a number or a name that tells things apart; None where there is none."""
    return value if isinstance(value, (int, str)) else None


def count(value: Any) -> int:
    """Return a number of tokens; 0 where there is none."""
    return int(value) if isinstance(value, (int, float)) else 0
