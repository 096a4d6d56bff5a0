"""Reading reasoning out of a store that others can write to: only what a reasoning item has goes into a request."""

from __future__ import annotations

from typing import Any

_PARTS = {"summary": "summary_text", "content": "reasoning_text"}
_STATUSES = ("in_progress", "completed", "incomplete")

# Bounds far beyond what replies have.
MAX_CALLS = 4096
"""How many calls a turn may have."""

MAX_ITEMS = 256
"""How many reasoning items a turn may have."""

_MAX_SHORT = 512
_MAX_PARTS = 256


def reasoning_of(value: Any) -> dict[str, Any]:
    """Make a reasoning item anew of the keys and types that may stand in one (the SDK's ResponseReasoningItemParam).

    Other keys are left out, since a later API may have them. Raises ValueError, TypeError, KeyError or AttributeError for what is
    no item, or has nothing encrypted, which alone stands for itself.
    """
    if value["type"] != "reasoning" or not value["encrypted_content"]:
        raise ValueError
    item: dict[str, Any] = {}
    for key, one in value.items():  # in its order, as it came
        if key == "id":
            item[key] = short(one)
        elif key in ("type", "encrypted_content"):
            item[key] = _string(one)
        elif key in _PARTS:
            if len(one) > _MAX_PARTS:
                raise ValueError
            item[key] = [_part_of(part, _PARTS[key]) for part in list_of(one)]
        elif key == "status" and one in _STATUSES:
            item[key] = one
    return item


def _part_of(value: Any, kind: str) -> dict[str, Any]:
    if value["type"] != kind:
        raise ValueError
    return {"type": kind, "text": _string(value["text"])}


def short(value: Any) -> str:
    """Return a string that is a digest or an id. Raises TypeError or ValueError for anything else."""
    if len(_string(value)) > _MAX_SHORT:
        raise ValueError
    return str(value)


def list_of(value: Any) -> list[Any]:
    """Return a list. Raises TypeError for anything else."""
    if not isinstance(value, list):
        raise TypeError
    return value


def _string(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value
