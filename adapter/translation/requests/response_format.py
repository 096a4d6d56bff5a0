"""`response_format` → `text.format` (docs/mapping.md#formats)."""

from __future__ import annotations

from typing import Any

from adapter.errors import MalformedRequest
from adapter.translation.json_types import json_type, string

from .builder import RequestBuilder
from .converters import converter


@converter("response_format")
def response_format(builder: RequestBuilder, value: Any, _: dict[str, Any]) -> None:
    """Write `text.format`.

    A missing `strict` is written as false, since the service treats it as true
    (docs/wire-facts.md#strict).
    """
    if not isinstance(value, dict):
        raise MalformedRequest("response_format", f"expected an object, got {json_type(value)}")
    match string(value.get("type"), "response_format.type"):
        case "text" | "json_object" as kind:
            builder.set("text.format", {"type": kind})
            _drop_unknown_keys(builder, value, {"type"})
        case "json_schema":
            _json_schema(builder, value.get("json_schema"))
            _drop_unknown_keys(builder, value, {"type", "json_schema"})
        case _:
            why = "unknown response format"
            builder.unsupported("response_format.type", "response_format", why, droppable=False)


def _drop_unknown_keys(builder: RequestBuilder, value: dict[str, Any], known: set[str]) -> None:
    for key, given in value.items():
        if given is not None and key not in known:
            builder.leave_out("response_format", key, "not a field of a response format")


def _json_schema(builder: RequestBuilder, wrapped: Any) -> None:
    path = "response_format.json_schema"
    if not isinstance(wrapped, dict):
        raise MalformedRequest(path, f"expected an object, got {json_type(wrapped)}")
    name = string(wrapped.get("name"), f"{path}.name")
    if wrapped.get("schema") is None:
        builder.unsupported(
            f"{path}.schema",
            "response_format",
            "the Responses API asks for a schema",
            droppable=False,
        )
        return
    shape: dict[str, Any] = {"type": "json_schema", "name": name, "schema": wrapped["schema"]}
    if wrapped.get("description") is not None:
        shape["description"] = wrapped["description"]
    shape["strict"] = wrapped.get("strict") is True
    known = {"name", "schema", "description", "strict"}
    shape |= {key: v for key, v in wrapped.items() if key not in known and v is not None}
    builder.set("text.format", shape)
