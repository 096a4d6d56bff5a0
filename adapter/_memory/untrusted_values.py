"""Parsing turns from a store that others can write to (docs/decisions.md#untrusted-store).

Only the keys and types of a reasoning item get into a request.
"""

from __future__ import annotations

from typing import Any

from adapter.translation.reasoning.turns import PHASES, RememberedTurn, TurnMessage

_PARTS = {"summary": "summary_text", "content": "reasoning_text"}
_STATUSES = ("in_progress", "completed", "incomplete")

# Bounds far beyond those of real replies.
_MAX_CALLS = 4096
_MAX_ITEMS = 256
_MAX_PARTS = 256  # of an item
_MAX_SHORT = 512  # characters of a digest or an id


def parse_turn(value: Any) -> RememberedTurn:
    """Build a turn from JSON that others may have written. Raises ValueError for anything else."""
    try:
        calls, before, ids = value["calls"], value["before"], value["ids"]
        spoken = _parse_message(value["spoken"]) if "spoken" in value else None
        if (
            not 0 < len(calls) == len(before) == len(ids) <= _MAX_CALLS
            or sum(map(len, before)) > _MAX_ITEMS
        ):
            raise ValueError
        return RememberedTurn(
            tuple([_short(one) for one in _list(calls)]),
            tuple(
                [
                    tuple([_parse_reasoning(item) for item in _list(items)])
                    for items in _list(before)
                ]
            ),
            spoken,
            tuple([None if one is None else _short(one) for one in _list(ids)]),
            _short(value["user"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError):
        raise ValueError("not a remembered turn") from None


def _parse_message(value: Any) -> TurnMessage:
    at, phase, text, own = value
    if type(at) is not int or not 0 <= at <= _MAX_ITEMS or phase not in (None, *PHASES):
        raise ValueError
    return TurnMessage(at, phase, _short(text), None if own is None else _short(own))


def _parse_reasoning(value: Any) -> dict[str, Any]:
    """Rebuild a reasoning item from the keys and types that it may have.

    They are those of the SDK's ResponseReasoningItemParam. Other keys are left out, since a later
    API may add some. Raises ValueError, TypeError, KeyError or AttributeError for anything else,
    and for an item without `encrypted_content`, since its plain text could be anyone's.
    """
    if value["type"] != "reasoning" or not value["encrypted_content"]:
        raise ValueError
    item: dict[str, Any] = {}
    for key, one in value.items():  # in the order of arrival
        if key == "id":
            item[key] = _short(one)
        elif key in ("type", "encrypted_content"):
            item[key] = _string(one)
        elif key in _PARTS:
            if len(one) > _MAX_PARTS:
                raise ValueError
            item[key] = [_parse_part(part, _PARTS[key]) for part in _list(one)]
        elif key == "status" and one in _STATUSES:
            item[key] = one
    return item


def _parse_part(value: Any, kind: str) -> dict[str, Any]:
    if value["type"] != kind:
        raise ValueError
    return {"type": kind, "text": _string(value["text"])}


def _short(value: Any) -> str:
    """Return a digest or an id. Raises TypeError or ValueError for anything else."""
    if len(_string(value)) > _MAX_SHORT:
        raise ValueError
    return str(value)


def _list(value: Any) -> list[Any]:
    """Return a list. Raises TypeError for anything else."""
    if not isinstance(value, list):
        raise TypeError
    return value


def _string(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value
