"""Header fields, looked up and edited faster than by the HTTP libraries' `Headers`.

Each lookup by these costs more than translating a message. `Headers` of httpx 0.27 to httpx2 2.16
hold `(name as sent, name in lower case, value)` in a private list; without one their public `raw`
is used. Names are given in lower case.
"""

from __future__ import annotations

from itertools import chain
from typing import Any


def values(headers: Any, name: bytes) -> list[str]:
    """Return the values of a field."""
    try:
        return [entry[2].decode("latin-1") for entry in headers._list if entry[1] == name]
    except (AttributeError, IndexError):
        return [found.decode("latin-1") for key, found in headers.raw if key.lower() == name]


def value(headers: Any, name: bytes) -> str:
    """Return the first value of a field; the empty string if it is missing."""
    found = values(headers, name)
    return found[0] if found else ""


def first_values(headers: Any, names: frozenset[bytes]) -> dict[bytes, str]:
    """Return the first value of each of several fields that is present."""
    try:
        found = [entry for entry in headers._list if entry[1] in names]
        return {entry[1]: entry[2].decode("latin-1") for entry in reversed(found)}
    except (AttributeError, IndexError):
        return {
            key.lower(): found.decode("latin-1")
            for key, found in reversed(headers.raw)
            if key.lower() in names
        }


def joined_values(headers: Any, names: frozenset[bytes]) -> dict[bytes, str]:
    """Return the values of each of several fields that is present, joined by line breaks.

    No value holds a line break.
    """
    try:
        entries = [(entry[1], entry[2]) for entry in headers._list if entry[1] in names]
    except (AttributeError, IndexError):
        entries = [(key.lower(), found) for key, found in headers.raw if key.lower() in names]
    found: dict[bytes, str] = {}
    for key, one in entries:
        value = one.decode("latin-1")
        found[key] = f"{found[key]}\n{value}" if key in found else value
    return found


def has(headers: Any, name: bytes) -> bool:
    """Return whether a field is present."""
    try:
        for entry in headers._list:
            if entry[1] == name:
                return True
    except (AttributeError, IndexError):
        return bool(values(headers, name))
    return False


def replaced(headers: Any, dropped: frozenset[bytes], added: list[tuple[bytes, bytes]]) -> Any:
    """Return a copy without some fields, and with others at its end."""
    cls: Any = type(headers)
    try:
        kept = [entry for entry in headers._list if entry[1] not in dropped]
        encoding = headers._encoding
    except (AttributeError, IndexError):
        return cls(
            [*((key, found) for key, found in headers.raw if key.lower() not in dropped), *added]
        )
    made = object.__new__(cls)  # its constructor would check each field again
    kept += [(key, key.lower(), found) for key, found in added]
    if encoding is None and b"".join(chain.from_iterable(kept)).isascii():
        encoding = "ascii"  # which it would find out field by field
    made._list, made._encoding = kept, encoding
    return made
