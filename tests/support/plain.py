"""Make outcomes comparable: plain data without times, with ids numbered as they appear."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Callable, Iterator, Mapping
from enum import Enum
from itertools import zip_longest
from typing import Any

from pydantic import BaseModel

CLOCKS = frozenset(
    {"created", "created_at", "timestamp", "time", "duration", "started_at", "ended_at", "elapsed"}
)
"""Keys whose values are times."""

_UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
_IDS = re.compile(rf"\b(?:(?:chatcmpl|call|resp|msg|fc|run|lc_run)[-_][\w.:-]{{6,}}|{_UUID})")
_ID_KEYS = re.compile(r"(?:^|_|\.)ids?$")

Left = Callable[[str], bool]
"""Return whether a key is left out."""


def plain(value: Any, *, without: frozenset[str] | Left = frozenset(), parsed: bool = False) -> Any:
    """Turn an outcome into JSON-like data: no times, ids numbered in the order of appearance.

    A result with the wrong call's id still differs, since the same id always gets the same number.
    With `parsed`, JSON within texts is parsed too.
    """
    left = without if callable(without) else without.__contains__
    data = _data(value, left, parsed)
    known: dict[str, str] = {}
    _collect(data, "", known)
    return _renamed(data, known)


def _data(value: Any, left: Left, parsed: bool) -> Any:
    if isinstance(value, BaseModel):
        value = {"": type(value).__name__, **dict(value)}
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {
            each.name: getattr(value, each.name) for each in dataclasses.fields(value) if each.repr
        }
        value = {"": type(value).__name__, **fields}
    elif isinstance(value, BaseException):
        value = {"": type(value).__name__, "message": str(value)}
    if isinstance(value, Enum):
        return value.value
    if parsed and isinstance(value, str) and value[:1] in ("{", "["):
        try:
            value = json.loads(value)
        except ValueError:
            return value
    if isinstance(value, Mapping):
        return {
            str(key): _data(each, left, parsed)
            for key, each in value.items()
            if str(key) not in CLOCKS and not left(str(key))
        }
    if isinstance(value, list | tuple | set | frozenset):
        return [_data(each, left, parsed) for each in value]
    return value if isinstance(value, str | int | float | bool | None) else repr(value)


def _collect(value: Any, key: str, known: dict[str, str]) -> None:
    if isinstance(value, dict):
        for name, each in value.items():
            _collect(each, name, known)
    elif isinstance(value, list):
        for each in value:
            _collect(each, key, known)
    elif isinstance(value, str):
        # Shorter ones are no ids, or could occur anywhere in a text.
        whole = [value] if len(value) > 3 and _ID_KEYS.search(key) else []
        for found in whole or _IDS.findall(value):
            known.setdefault(found, f"<{len(known) + 1}>")


def _renamed(value: Any, known: dict[str, str]) -> Any:
    if isinstance(value, dict):
        return {name: _renamed(each, known) for name, each in value.items()}
    if isinstance(value, list):
        return [_renamed(each, known) for each in value]
    if isinstance(value, str):
        for found, number in known.items():
            value = value.replace(found, number)
    return value


Allowed = Callable[[str, dict[str, Any], dict[str, Any]], bool]
"""Return whether the values of a key may differ in the two objects that contain it."""


def differing(
    one: Any, other: Any, allowed: Allowed = lambda *_: False, path: str = "$"
) -> Iterator[str]:
    """List the differences of two plain outcomes, one line each."""
    if isinstance(one, dict) and isinstance(other, dict):
        for key in sorted({*one, *other}):
            if not allowed(key, one, other):
                yield from differing(
                    one.get(key, _ABSENT), other.get(key, _ABSENT), allowed, f"{path}.{key}"
                )
    elif isinstance(one, list) and isinstance(other, list):
        for index, (left, right) in enumerate(zip_longest(one, other, fillvalue=_ABSENT)):
            yield from differing(left, right, allowed, f"{path}[{index}]")
    # In Python, `True == 1 == 1.0`.
    elif type(one) is not type(other) or one != other:
        yield f"{path}: {one!r}, {other!r}"


class _Absent:
    def __repr__(self) -> str:
        return "absent"


_ABSENT = _Absent()
