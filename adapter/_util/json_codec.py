"""Encode and decode JSON by the standard library, as the SDK writes it."""

from __future__ import annotations

import json
from typing import Any

_encode_ascii = json.JSONEncoder(ensure_ascii=True, separators=(",", ":"), allow_nan=False).encode
_encode = json.JSONEncoder(
    ensure_ascii=False, separators=(",", ":"), allow_nan=False, check_circular=False
).encode


def loads(text: str | bytes) -> Any:
    """Decode JSON. Raises ValueError for anything else, and for JSON that is nested too deeply."""
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def loads_strictly(text: bytes) -> Any:
    """Decode JSON as the APIs do: UTF-8 without a byte order mark, no NaN, no infinities.

    Raises ValueError for anything else.
    """
    try:
        return _decode(text.decode())
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _refuse(name: str) -> Any:
    raise ValueError(f"{name} is not a JSON number")


_decode = json.JSONDecoder(parse_constant=_refuse).decode


class Unwritable(ValueError):
    """A value that can't be encoded: NaN, infinity, a huge integer, or nested too deeply."""


def dumps(value: Any) -> bytes:
    r"""Encode `value` as compact UTF-8 JSON.

    Separators and escapes are those of the SDK's own encoder (`openai/_utils/_json.py`). Text with
    a lone surrogate, which JSON can represent (`"\ud83d"`) but UTF-8 can't, is written with ASCII
    escapes. Raises Unwritable, a ValueError, for NaN, infinities and circular references.
    """
    try:
        return _encode(value).encode()
    except UnicodeEncodeError:
        return _encode_ascii(value).encode()
    except RecursionError:
        raise Unwritable("nested too deeply") from None
    except ValueError as error:
        raise Unwritable(str(error)) from None


_encode_anything = json.JSONEncoder(ensure_ascii=True, separators=(",", ":")).encode


def dumps_reply(value: Any) -> bytes:
    """Encode a server's reply, also NaN and infinities, which some send as logprobs."""
    try:
        return dumps(value)
    except Unwritable:
        return _encode_anything(value).encode()
