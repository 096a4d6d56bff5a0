"""A complete comparison form of an SDK object, including the parts that `==` ignores."""

from __future__ import annotations

from typing import Any

import pydantic


def deep(value: Any) -> Any:
    """Return types, values, set fields, extra fields and the request id, recursively."""
    if isinstance(value, pydantic.BaseModel):
        return (
            type(value),
            {key: deep(one) for key, one in value.__dict__.items() if key != "_request_id"},
            sorted(value.model_fields_set),
            deep(value.model_extra),
            getattr(value, "_request_id", None),
        )
    if isinstance(value, dict):
        return {key: deep(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [deep(one) for one in value]
    return (type(value), value)
