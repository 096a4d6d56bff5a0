"""Whether two texts of one answer say the same: what was streamed, and what it is said to have been.

Plain text is the same but for white space around it. Arguments and JSON formats are the same as JSON:
with types, and never where a key comes twice, since readers differ in which one they take.
"""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any, NoReturn

from adapter.errors import StreamTruncated


def missing_suffix(
    path: str, delivered: str, whole: str, *, as_json: bool, confirmed: bool = False
) -> str | None:
    """Return what is missing of a finished text; None where it is all there in other words.

    `agreed` tells that an earlier event has confirmed what was sent: from then on formatting contradicts nothing. Raises
    StreamTruncated where the finished text contradicts what was sent.
    """
    if whole.startswith(delivered):
        return whole[len(delivered) :]
    if same_text(delivered, whole, as_json=as_json) or (
        confirmed and _same_but_for_formatting(delivered, whole)
    ):
        return None
    raise StreamTruncated(path, "what was streamed is not how the finished text begins")


def same_text(one: str, other: str, *, as_json: bool) -> bool:
    """Tell whether two texts say the same."""
    return one.strip() == other.strip() or (as_json and same_json(one, other))


def _same_but_for_formatting(one: str, other: str) -> bool:
    return "".join(one.split()) == "".join(other.split()) or same_json(one, other)


def same_json(one: str, other: str) -> bool:
    """Tell whether two texts are the same JSON."""
    try:
        return _same(_read(one), _read(other))
    except (ValueError, ArithmeticError, RecursionError):
        return False


def _read(text: str) -> Any:
    # Decimals, since floats of other digits may be equal.
    return json.loads(
        text, parse_float=Decimal, parse_constant=_refuse, object_pairs_hook=_distinct
    )


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        raise ValueError("a key comes twice")
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
