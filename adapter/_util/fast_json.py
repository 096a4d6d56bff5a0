"""JSON by Pydantic's own reader and writer, which take a quarter of the standard library's time.

They read and write the same values (every recorded reply is compared in the tests), and what they can't (lone surrogates, for one) is left to
the codec. Requests are written by the codec alone: their bytes are what the SDK itself would write. The translation has the codec alone, too.
"""

from __future__ import annotations

from typing import Any

import pydantic_core

from . import json_codec


def loads(text: bytes | str) -> Any:
    """Read JSON. Raises ValueError for what is none."""
    try:
        return pydantic_core.from_json(
            text, cache_strings="keys"
        )  # kept for the process: names, not what was said
    except (ValueError, TypeError):  # of a text with lone surrogates it says that it is none
        return json_codec.loads(text)


def loads_strictly(text: bytes) -> Any:
    """Read JSON as the APIs do; see the codec's."""
    try:
        return pydantic_core.from_json(text, allow_inf_nan=False, cache_strings="keys")
    except ValueError:
        return json_codec.loads_strictly(text)


def dumps(value: Any) -> bytes:
    """Write a value as compact UTF-8 JSON."""
    try:
        return pydantic_core.to_json(value)
    except ValueError:  # pydantic-core's own is one
        return json_codec.dumps(value)
