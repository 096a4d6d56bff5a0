"""JSON text ⇄ Python values, the way the SDK writes it."""

from __future__ import annotations

import json
from typing import Any

_scan = json.JSONDecoder().scan_once  # type: ignore[attr-defined]  # documented nowhere, there since Python 3.1
_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode
_encode_ascii = json.JSONEncoder(ensure_ascii=True, separators=(",", ":"), allow_nan=False).encode


def loads(text: str | bytes) -> Any:
    """Read JSON. Raises ValueError for what is none, and for what is nested deeper than Python can go."""
    try:
        if type(text) is bytes and text.startswith(b"{"):
            try:  # past the guess at the encoding and the checks around the scanner, which cost as much as a short text
                value, end = _scan(decoded := text.decode(), 0)
            except (ValueError, StopIteration):
                pass  # said below, as always
            else:
                if end == len(decoded):
                    return value
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
