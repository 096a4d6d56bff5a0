"""All there is about an SDK object: what `==` leaves out as well."""

from __future__ import annotations

from typing import Any

import pydantic


def deep(value: Any) -> Any:
    """Return types, values, which fields were set, extra fields and the request's id, all the way down."""
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
