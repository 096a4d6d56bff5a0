"""Write HTTP bodies in readable forms, and read them back byte for byte.

A body becomes a mapping of the first of these forms that restores exactly the same bytes:

- `{json: tree}`             compact JSON as the SDK writes it: no spaces, non-ASCII unescaped
- `{json: tree, style: s}`   JSON in another of the `STYLES`
- `{text: string}`           other UTF-8 text, above all streams of server-sent events
- `{base64: string}`         everything else

An absent body is null.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any

STYLES: Mapping[str, Mapping[str, Any]] = {
    "compact": {"separators": (",", ":"), "ensure_ascii": False},
    "compact-ascii": {"separators": (",", ":"), "ensure_ascii": True},
    "spaced": {"separators": (", ", ": "), "ensure_ascii": False},
    "spaced-ascii": {"separators": (", ", ": "), "ensure_ascii": True},
    "indented": {"indent": 2, "ensure_ascii": False},
    "indented-ascii": {"indent": 2, "ensure_ascii": True},
    # With a newline at the end, as the real API writes it.
    "indented-newline": {"indent": 2, "ensure_ascii": False},
}
_FINAL = {"indented-newline": "\n"}


def dumps(tree: Any, style: str = "compact") -> str:
    """Write JSON in one of the `STYLES`."""
    return json.dumps(tree, **STYLES[style]) + _FINAL.get(style, "")


def to_form(body: bytes | str | None) -> dict[str, Any] | None:
    """Return the most readable form that restores a body's bytes; None for no body."""
    if body is None:
        return None
    raw = body.encode() if isinstance(body, str) else bytes(body)
    if (plain := as_text(raw)) is None:
        return as_base64(raw)
    text = plain["text"]
    if text[:1] in {"{", "["}:
        try:
            tree = json.loads(text)
        except ValueError:
            return plain
        # Duplicate keys, 1.0e3, \/ and the like are written differently: then no style fits.
        for style in STYLES:
            if dumps(tree, style) == text:
                return {"json": tree} if style == "compact" else {"style": style, "json": tree}
    return plain


def as_text(raw: bytes) -> dict[str, Any] | None:
    """Return the form for plain text; None if the bytes aren't UTF-8."""
    try:
        return {"text": raw.decode()}
    except UnicodeDecodeError:
        return None


def as_base64(raw: bytes) -> dict[str, Any]:
    """Return the form that can hold any bytes."""
    return {"base64": base64.b64encode(raw).decode()}


def from_form(form: Mapping[str, Any] | None) -> bytes | None:
    """Return the bytes of a body. Raise ValueError for an unknown form."""
    match form:
        case None:
            return None
        case {"json": tree}:
            style = form.get("style", "compact")
            if style not in STYLES:
                raise ValueError(f"body.style: expected one of {', '.join(STYLES)}, got {style!r}")
            return dumps(tree, style).encode()
        case {"text": str(text)}:
            return text.encode()
        case {"base64": str(text)}:
            return base64.b64decode(text, validate=True)
    raise ValueError(f"body: expected one of json, text and base64, not {sorted(form)}")
