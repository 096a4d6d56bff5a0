"""Definitions of tools, as either API writes them (docs/mapping.md#tools)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_NEWER_FIELDS = {"allowed_callers", "async", "defer_loading"}
TOOL_FIELDS = {
    "function": frozenset(
        {"name", "description", "parameters", "strict", "output_schema", *_NEWER_FIELDS}
    ),
    "custom": frozenset({"name", "description", "format", *_NEWER_FIELDS}),
}
"""The types of tools that Chat has, with their fields on the Responses API; there they are beside
`type`, on Chat under a key with the name of the type."""

# A tuple, so that a `type` that can't be hashed is compared like any other value.
TOOL_TYPES = tuple(TOOL_FIELDS)


def empty_parameters(*, strict: bool) -> dict[str, Any]:
    """Return the schema of a function without parameters, a required key on the Responses API."""
    schema: dict[str, Any] = {"type": "object", "properties": {}}
    return schema | {"required": [], "additionalProperties": False} if strict else schema


def flat_format(shape: Any) -> Any:
    """Return the `format` of a custom tool as the Responses API has it: a grammar isn't nested."""
    if not isinstance(shape, Mapping) or not isinstance(shape.get("grammar"), Mapping):
        return shape
    return {
        **{key: value for key, value in shape.items() if key != "grammar"},
        **shape["grammar"],
    }


def nested_format(shape: Any) -> Any:
    """Return the `format` of a custom tool as Chat has it: a grammar is nested."""
    if not isinstance(shape, Mapping) or shape.get("type") != "grammar" or "grammar" in shape:
        return shape
    return {
        "type": "grammar",
        "grammar": {key: value for key, value in shape.items() if key != "type"},
    }
