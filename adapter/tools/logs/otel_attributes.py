"""Read OpenTelemetry attributes as one object: from OTLP's JSON, exporters or table columns.

`{"gen_ai.request.model": "gpt-4o", "gen_ai.prompt.0.role": "user"}` and OTLP's list of keys and
values both become `{"gen_ai": {"request": {"model": "gpt-4o"}, "prompt": [{"role": "user"}]}}`, so
that one path works for all.
"""

from __future__ import annotations

from typing import Any

from .json_path import read_text

_MAX_DEPTH = 30
_MAX_ATTRIBUTES = 20_000  # per row
_MAX_NAME_PARTS = 12  # per name
_SCALARS = ("stringValue", "boolValue", "doubleValue", "bytesValue")
_SIBLING_KEYS = (
    ("name", "name"),
    ("eventName", "eventName"),
    ("event_name", "eventName"),
    ("body", "body"),
)
_COLUMN_PREFIX = "attributes."  # in tables of spans


def attributes_of(row: dict[str, Any], found: Any) -> dict[str, Any] | None:
    """Return the attributes of a span or a log record, with its events, name and body.

    `found` are the attributes in the row: a list of keys and values, an object, or the row itself.
    Returns None for anything else.
    """
    pairs = _pairs(found)
    if pairs is None:
        return None
    out = _nested(pairs)
    if found is not row:
        for key, name in _SIBLING_KEYS:
            if key in row and name not in out:
                out[name] = any_value(row[key])
        events = row.get("events")
        if isinstance(events, list) and "events" not in out:
            out["events"] = [
                _event(event) for event in events[:_MAX_ATTRIBUTES] if isinstance(event, dict)
            ]
    return out


def any_value(value: Any, depth: int = 0) -> Any:
    """Convert OTLP's AnyValue to plain JSON; any other value is returned as it is."""
    if depth > _MAX_DEPTH or not isinstance(value, dict) or len(value) != 1:
        return value
    ((kind, inner),) = value.items()
    if kind in _SCALARS:
        return inner
    if kind == "intValue":
        return (
            int(inner)
            if isinstance(inner, str) and inner.lstrip("-").isdecimal() and len(inner) < 25
            else inner
        )
    if kind == "arrayValue" and isinstance(inner, dict):
        values = inner.get("values", [])
        return [any_value(one, depth + 1) for one in values] if isinstance(values, list) else []
    if kind == "kvlistValue" and isinstance(inner, dict):
        pairs = _pairs(inner.get("values", []), depth + 1)
        return dict(pairs) if pairs is not None else {}
    return value


def _pairs(found: Any, depth: int = 0) -> list[tuple[str, Any]] | None:
    found = read_text(found)
    if isinstance(found, dict):
        return [
            (str(key), any_value(value, depth))
            for key, value in list(found.items())[:_MAX_ATTRIBUTES]
        ]
    if not isinstance(found, list):
        return None
    return [
        (pair["key"], any_value(pair.get("value"), depth))
        for pair in found[:_MAX_ATTRIBUTES]
        if isinstance(pair, dict) and isinstance(pair.get("key"), str)
    ]


def _event(event: dict[str, Any]) -> dict[str, Any]:
    out = _nested(_pairs(event.get("attributes")) or [])
    name = event.get("name")
    return {**out, "name": name} if isinstance(name, str) else out


def _nested(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Make nested objects from dotted names. A value is dropped if its name has members."""
    root: dict[str, Any] = {}
    for key, value in sorted(pairs, key=_by_name):  # `a` before `a.b`
        parts = key.removeprefix(_COLUMN_PREFIX).split(".", _MAX_NAME_PARTS)
        at = root
        for part in parts[:-1]:
            inner = at.get(part)
            if not isinstance(inner, dict):
                inner = at[part] = {}
            at = inner
        at[parts[-1]] = _parsed_parts(value) if parts[-1] == "content" else value
    listed = _indexed_to_lists(root)
    return listed if isinstance(listed, dict) else root


def _by_name(pair: tuple[str, Any]) -> str:
    return pair[0]


def _indexed_to_lists(value: Any, depth: int = 0) -> Any:
    """Convert objects whose keys are indexes (0, 1, 2) to lists."""
    if depth > _MAX_DEPTH or not isinstance(value, dict):
        return value
    if value and all(key.isdecimal() and len(key) < 7 for key in value):
        return [
            _indexed_to_lists(inner, depth + 1)
            for _, inner in sorted(value.items(), key=lambda one: int(one[0]))
        ]
    return {key: _indexed_to_lists(inner, depth + 1) for key, inner in value.items()}


def _parsed_parts(value: Any) -> Any:
    """Return the parts of a content that was written as text."""
    read = read_text(value) if isinstance(value, str) and value.startswith('[{"') else value
    is_parts = isinstance(read, list) and all(
        isinstance(part, dict) and "type" in part for part in read
    )
    return read if is_parts else value
