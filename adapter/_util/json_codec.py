"""JSON text ⇄ Python values, the way the SDK writes it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

_encode_ascii = json.JSONEncoder(ensure_ascii=True, separators=(",", ":"), allow_nan=False).encode


def _encoder() -> Callable[[Any], str]:
    """Return an encoder of the standard library's that isn't set up anew for each value, which takes longer than a short request does."""
    plain = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    make = getattr(
        json.encoder, "c_make_encoder", None
    )  # CPython's, without a name of its own in the documentation
    if make is None:
        return plain.encode
    pieces = make(
        None, plain.default, json.encoder.encode_basestring, None, ":", ",", False, False, False
    )
    return lambda value: "".join(pieces(value, 0))


_encode = _encoder()


def loads(text: str | bytes) -> Any:
    """Read JSON. Raises ValueError for what is none, and for what is nested deeper than Python can go."""
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def loads_strictly(text: bytes) -> Any:
    """Read JSON as the APIs do: UTF-8 without a byte order mark, no NaN, no infinities. Raises ValueError for anything else."""
    try:
        return _decode(text.decode())
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _refuse(name: str) -> Any:
    raise ValueError(f"{name} is no number in JSON")


_decode = json.JSONDecoder(parse_constant=_refuse).decode


class Unwritable(ValueError):
    """A value that JSON has no spelling for: NaN, an infinity, an integer beyond Python's limit, or nested too deeply."""


def dumps(value: Any) -> bytes:
    r"""Write `value` as compact UTF-8 JSON.

    Same separators and escapes as the SDK's own encoder (`openai/_utils/_json.py`). Text with a lone surrogate, which
    JSON can spell (`"\ud83d"`) and UTF-8 can't, is written in ASCII escapes instead. Raises Unwritable, a ValueError, for NaN and
    infinities, and for what holds itself.
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
    """Write what a server has said; also NaN and infinities, which servers send as logprobs and the SDK reads."""
    try:
        return dumps(value)
    except Unwritable:
        return _encode_anything(value).encode()
