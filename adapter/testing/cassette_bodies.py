"""Write HTTP bodies so that people can read them, and read them back byte for byte.

A body becomes a mapping of one of these forms, the first that gives back exactly the same bytes:

- `{json: tree}`             the compact JSON that the SDK writes: no spaces, non-ASCII as it is
- `{json: tree, style: s}`   JSON written in another way; `STYLES` says which
- `{text: string}`           any other UTF-8 text, a stream of server-sent events above all
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
    "indented-newline": {
        "indent": 2,
        "ensure_ascii": False,
    },  # with a newline at the end, as the real API's
}
_FINAL = {"indented-newline": "\n"}


def dumps(tree: Any, style: str = "compact") -> str:
    """Write JSON in one of the `STYLES`."""
    return json.dumps(tree, **STYLES[style]) + _FINAL.get(style, "")


def to_form(body: bytes | str | None) -> dict[str, Any] | None:
    """Give the most readable form of a body that still gives back its bytes."""
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
        # Duplicate keys, 1.0e3, \/ and the like come out differently: then no style fits, and the text stays as it is.
        for style in STYLES:
            if dumps(tree, style) == text:
                return {"json": tree} if style == "compact" else {"style": style, "json": tree}
    return plain


def as_text(raw: bytes) -> dict[str, Any] | None:
    """Give the form that holds text as it is, or None for what isn't UTF-8."""
    try:
        return {"text": raw.decode()}
    except UnicodeDecodeError:
        return None


def as_base64(raw: bytes) -> dict[str, Any]:
    """Give the form that holds any bytes."""
    return {"base64": base64.b64encode(raw).decode()}


def from_form(form: Mapping[str, Any] | None) -> bytes | None:
    """Give the bytes of a body; raises ValueError for a form that isn't one of ours."""
    match form:
        case None:
            return None
        case {"json": tree}:
            style = form.get("style", "compact")
            if style not in STYLES:
                raise ValueError(f"body.style: {style!r} is none of {', '.join(STYLES)}")
            return dumps(tree, style).encode()
        case {"text": str(text)}:
            return text.encode()
        case {"base64": str(text)}:
            return base64.b64decode(text, validate=True)
    raise ValueError(f"body: expected one of json, text and base64, not {sorted(form)}")
