"""Compare a streamed text with its finished form (docs/decisions.md#json-equality).

Plain texts are equal up to surrounding white space; arguments and JSON formats are compared as
JSON. Duplicate keys are never equal, since parsers disagree on which one counts.
"""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any, NoReturn

from adapter.errors import StreamTruncated


def missing_suffix(
    path: str, delivered: str, whole: str, *, as_json: bool, confirmed: bool = False
) -> str | None:
    """Return the part of `whole` that was not delivered; None if only the formatting differs.

    `confirmed`: an earlier event has confirmed what was delivered, so formatting no longer counts.
    Raises StreamTruncated if the finished text contradicts what was delivered.
    """
    # dialect: several (the finished text has other white space, or another order of keys)
    if whole.startswith(delivered):
        return whole[len(delivered) :]
    if same_text(delivered, whole, as_json=as_json) or (
        confirmed and _same_unformatted(delivered, whole)
    ):
        return None
    raise StreamTruncated(path, "the finished text doesn't begin with what was streamed")


def same_text(one: str, other: str, *, as_json: bool) -> bool:
    """Return whether two texts are equal, up to white space or as JSON."""
    return one.strip() == other.strip() or (as_json and same_json(one, other))


def _same_unformatted(one: str, other: str) -> bool:
    return "".join(one.split()) == "".join(other.split()) or same_json(one, other)


def same_json(one: str, other: str) -> bool:
    """Return whether two texts are equal JSON."""
    try:
        return _same(_read(one), _read(other))
    except (ValueError, ArithmeticError, RecursionError):
        return False


def _read(text: str) -> Any:
    # As decimals: floats with different digits may be equal.
    return json.loads(
        text, parse_float=Decimal, parse_constant=_refuse, object_pairs_hook=_distinct
    )


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        raise ValueError("duplicate key")
    return made


def _same(one: Any, other: Any) -> bool:
    if type(one) is not type(other):  # 1, 1.0 and true are equal in Python
        return False
    if type(one) is dict:
        return one.keys() == other.keys() and all(
            _same(value, other[key]) for key, value in one.items()
        )
    if type(one) is list:
        return len(one) == len(other) and all(map(_same, one, other))
    return bool(one == other)
