"""Shorten a request for display: long values become their beginning and length.

Of a file in base64 only the length is shown, of a long text only the beginning; the structure
stays. The result has a bounded size however large the request is.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import islice
from typing import Any

_DATA = re.compile(r"data:[\w.+/-]{0,100}(?:;[\w.=+-]{1,100}){0,5},", re.ASCII | re.IGNORECASE)
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]+={0,2}", re.ASCII)

_MIN_ENCODED = 200  # characters of base64 beyond which only the length is shown
_MAX_TEXT = 4000  # characters of a text
_MAX_TEXT_WHEN_EXHAUSTED = 100  # characters of a text once _MAX_SHOWN is reached
_MAX_SHOWN = 200_000  # characters of all texts
_MAX_MEMBERS = 200  # of an array or an object
_MAX_DEPTH = 60  # levels


def shortened(body: Any, max_characters: int = _MAX_SHOWN) -> Any:
    """Copy JSON with long strings, arrays and objects shortened.

    After `max_characters` of text, only a little of each further text is shown.
    """
    return _Shortener(max_characters).shorten(body, 0)


class _Shortener:
    """Counts the characters that may still be shown."""

    def __init__(self, max_characters: int) -> None:
        self.remaining = max_characters
        self.cutoff = -max_characters  # below this, no members are shown

    def shorten(self, value: Any, depth: int) -> Any:
        self.remaining -= 1
        if isinstance(value, str):
            return self._text(value)
        if not isinstance(value, (Mapping, list, tuple)) or not value:
            return value
        if depth >= _MAX_DEPTH:
            return "… (nested deeper)"
        if self.remaining < self.cutoff:
            return f"… ({len(value):,} members)"
        most = _MAX_MEMBERS if self.remaining > 0 else _MAX_MEMBERS // 20
        more = f"… ({len(value) - most:,} more)"
        if isinstance(value, Mapping):
            kept = islice(value.items(), most)
            made = {self._text(name): self.shorten(one, depth + 1) for name, one in kept}
            return made if len(value) <= most else {**made, "…": more}
        items = [self.shorten(one, depth + 1) for one in value[:most]]
        return items if len(value) <= most else [*items, more]

    def _text(self, text: str) -> str:
        if len(text) > _MIN_ENCODED:
            head = _DATA.match(text, 0, 1000)
            start = head.end() if head else 0
            if head or _is_encoded(text):
                return f"{text[:start]}… ({len(text):,} characters)"
        most = _MAX_TEXT if self.remaining > 0 else _MAX_TEXT_WHEN_EXHAUSTED
        self.remaining -= min(len(text), most)
        return text if len(text) <= most else f"{text[:most]}… ({len(text):,} characters)"


def _is_encoded(text: str) -> bool:
    """Return whether a text looks like base64: upper and lower case letters and digits only."""
    head = text[:_MIN_ENCODED]
    if not _BASE64.fullmatch(head) or not _BASE64.fullmatch(text[-_MIN_ENCODED:]):
        return False
    return (
        any(one.isupper() for one in head)
        and any(one.islower() for one in head)
        and any(one.isdigit() for one in head)
    )
