"""JSON by pydantic-core, which takes a quarter of the standard library's time.

It reads and writes the same values (the tests compare all recorded replies); what it can't, such as
lone surrogates, falls back on `json_codec`. Requests are written by `json_codec` alone, with the
bytes that the SDK would write (docs/decisions.md#standard-library).
"""

from __future__ import annotations

from typing import Any

import pydantic_core

from . import json_codec


def loads(text: bytes | str) -> Any:
    """Decode JSON. Raises ValueError for anything else."""
    try:
        # Cached strings stay in memory: only keys, no contents.
        return pydantic_core.from_json(text, cache_strings="keys")
    except (ValueError, TypeError):  # also for text with lone surrogates
        return json_codec.loads(text)


def loads_strictly(text: bytes) -> Any:
    """Decode JSON as the APIs do; see `json_codec.loads_strictly`."""
    try:
        return pydantic_core.from_json(text, allow_inf_nan=False, cache_strings="keys")
    except ValueError:
        return json_codec.loads_strictly(text)


def dumps(value: Any) -> bytes:
    """Encode a value as compact UTF-8 JSON."""
    try:
        return pydantic_core.to_json(value)
    except ValueError:  # a PydanticSerializationError is one
        return json_codec.dumps(value)
