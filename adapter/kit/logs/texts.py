"""JSON in the texts that logs make of it: in other JSON, behind a time stamp, in base64."""

from __future__ import annotations

import base64
import re
from typing import Any

from adapter import quick

BASE64 = "eyJ"
"""How an object's JSON begins in base64, as queues and recordings of bytes have it."""

_PREFIX = re.compile(r"[^{]{1,300}(?=\{)")


def read_row(row: Any) -> Any:
    """Read JSON, JSON that was written into JSON as text, and JSON behind a time stamp. Raises ValueError for any other text."""
    for _ in range(3):
        if not isinstance(row, (str, bytes)):
            break
        try:
            row = quick.loads(row)
        except ValueError:
            row = _decoded(row) if row[:3] in (BASE64, BASE64.encode()) else _behind(row)
    return row


def _decoded(text: str | bytes) -> Any:
    return base64.b64decode(text, validate=True)  # its errors are ValueErrors


def _behind(line: str | bytes) -> Any:
    """Read what stands behind a time stamp, a level, a name."""
    head = line[:400] if isinstance(line, str) else line[:400].decode("utf-8", "replace")
    found = _PREFIX.match(head)
    if found is None:
        raise ValueError("no JSON")
    if isinstance(line, bytes):
        return quick.loads(line[line.index(b"{") :])
    return quick.loads(line[found.end() :])
