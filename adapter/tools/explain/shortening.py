"""Make a request short enough to be read: what is long becomes its beginning and its length.

Files that a request carries as base64 are worth no screen, and texts only their beginning; the
shape stays. What is made is bounded however large the request is.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import islice
from typing import Any

_DATA = re.compile(r"data:[\w.+/-]{0,100}(?:;[\w.=+-]{1,100}){0,5},", re.ASCII | re.IGNORECASE)
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]+={0,2}", re.ASCII)

_ENCODED = 200  # characters of a file from which on only its length is shown
_TEXT = 4000  # of a text
_LITTLE = 100  # of each text, once there is enough to be read
_SHOWN = 200_000  # characters of all texts
_MEMBERS = 200  # of an array or an object
_DEPTH = 60  # levels


def shortened(body: Any, shown: int = _SHOWN) -> Any:
    """Copy JSON with long strings, arrays and objects cut; what is short throughout is returned equal.

    `shown` is how many characters of texts are shown in all, before little is shown of each.
    """
    return _Shortening(shown).of(body, 0)


class _Shortening:
    """What may still be shown."""

    def __init__(self, shown: int) -> None:
        self.left = shown
        self.least = -shown  # where nothing is shown any more

    def of(self, value: Any, depth: int) -> Any:
        self.left -= 1
        if isinstance(value, str):
            return self._text(value)
        if not isinstance(value, (Mapping, list, tuple)) or not value:
            return value
        if depth >= _DEPTH:
            return "… (nested deeper)"
        if self.left < self.least:
            return f"… ({len(value):,} in it)"
        most = _MEMBERS if self.left > 0 else _MEMBERS // 20
        more = f"… ({len(value) - most:,} more)"
        if isinstance(value, Mapping):
            kept = islice(value.items(), most)
            made = {self._text(name): self.of(one, depth + 1) for name, one in kept}
            return made if len(value) <= most else {**made, "…": more}
        items = [self.of(one, depth + 1) for one in value[:most]]
        return items if len(value) <= most else [*items, more]

    def _text(self, text: str) -> str:
        if len(text) > _ENCODED:
            head = _DATA.match(text, 0, 1000)
            start = head.end() if head else 0
            if head or _is_encoded(text):
                return f"{text[:start]}… ({len(text):,} characters)"
        most = _TEXT if self.left > 0 else _LITTLE
        self.left -= min(len(text), most)
        return text if len(text) <= most else f"{text[:most]}… ({len(text):,} characters)"


def _is_encoded(text: str) -> bool:
    """Tell whether a text is base64: letters and digits of all kinds, and nothing between them."""
    head = text[:_ENCODED]
    if not _BASE64.fullmatch(head) or not _BASE64.fullmatch(text[-_ENCODED:]):
        return False
    return (
        any(one.isupper() for one in head) and any(one.islower() for one in head) and any(one.isdigit() for one in head)
    )
