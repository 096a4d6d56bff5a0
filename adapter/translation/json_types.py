"""Types of JSON values, as error messages name them."""

from __future__ import annotations

from typing import Any

from adapter.errors import MalformedRequest


def string(value: Any, path: str) -> str:
    """Return `value`; raise MalformedRequest unless it is a string."""
    if not isinstance(value, str):
        raise MalformedRequest(path, f"expected a string, got {json_type(value)}")
    return value


def json_type(value: Any) -> str:
    """Return the name of a value's JSON type, for messages, which never show the value."""
    match value:
        case None:
            return "null"
        case bool():
            return "a boolean"
        case str():
            return "a string"
        case int() | float():
            return "a number"
        case list():
            return "an array"
        case dict():
            return "an object"
        case _:
            return type(value).__name__
