"""JSON text ⇄ Python values, the way the SDK writes it."""

from __future__ import annotations

import json
from typing import Any

_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode
_encode_ascii = json.JSONEncoder(ensure_ascii=True, separators=(",", ":"), allow_nan=False).encode


def loads(text: str | bytes) -> Any:
    """Read JSON. Raises ValueError for what is none, and for what is nested deeper than Python can go."""
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def dumps(value: Any) -> bytes:
    r"""Write `value` as compact UTF-8 JSON.

    Same separators and escapes as the SDK's own encoder (`openai/_utils/_json.py`). Text with a lone surrogate, which
    JSON can spell (`"\ud83d"`) and UTF-8 can't, is written in ASCII escapes instead. Raises ValueError for NaN and
    infinities.
    """
    try:
        return _encode(value).encode()
    except UnicodeEncodeError:
        return _encode_ascii(value).encode()
