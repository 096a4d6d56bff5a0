"""Read JSON from strings in logs: in other JSON, after a timestamp, in base64."""

from __future__ import annotations

import base64
import re
from itertools import islice
from typing import Any

from adapter._util import fast_json

BASE64_OBJECT_PREFIX = "eyJ"
"""How the JSON of an object begins in base64, as in queues and recordings."""

_OBJECT_START = re.compile(rb'\{(?=\s*+(?:["\\}]|$))')
_ESCAPED = re.compile(rb"\\x([0-9A-Fa-f]{2})")  # nginx escapes quotes like this
_HEAD_BYTES = 400  # bytes within which an object must begin
_MAX_STARTS = 4


def read_row(row: Any) -> Any:
    """Parse JSON, JSON in a JSON string, or JSON after a timestamp. Raises ValueError."""
    for _ in range(3):
        if not isinstance(row, (str, bytes)):
            break
        try:
            row = fast_json.loads(row)
        except ValueError:
            row = (
                _decoded(row)
                if row[:3] in (BASE64_OBJECT_PREFIX, BASE64_OBJECT_PREFIX.encode())
                else _json_after_prefix(row)
            )
    return row


def _decoded(text: str | bytes) -> Any:
    return base64.b64decode(text, validate=True)  # its errors are ValueErrors


def _json_after_prefix(line: str | bytes) -> Any:
    """Parse JSON after a timestamp, level or name, and before a suffix such as a duration."""
    text = line if isinstance(line, bytes) else line.encode("utf-8", "surrogatepass")
    if _ESCAPED.search(text, 0, _HEAD_BYTES):
        text = _ESCAPED.sub(rb"\\u00\1", text)
    end = text.rfind(b"}") + 1
    first = None
    for found in islice(_OBJECT_START.finditer(text, 0, _HEAD_BYTES), _MAX_STARTS):
        begin = found.start()
        first = begin if first is None else first
        before = text[first:begin]
        # Otherwise it is nested in the one before, which was cut off.
        if before.count(b"{") == before.count(b"}"):
            try:
                return fast_json.loads(text[begin:end])
            except ValueError:
                continue
    raise ValueError("no JSON")
