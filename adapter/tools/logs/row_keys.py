"""The keys of log rows: those that may hold a request, and those of the log itself."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .embedded_json import BASE64_OBJECT_PREFIX
from .envelope import ADDRESS_KEYS, REPLY_KEYS, REQUEST_LINE

BODY_KEYS = (
    "body",
    "request",
    "json",
    "input",
    "request_body",
    "payload",
    "data",
    "params",
    "kwargs",
)
_ROW_KEYS = (
    "message", "log", "event", "msg", "value", "line", "text", "textPayload", "jsonPayload",
    "@message", "_raw", "_source", "attributes", "properties", "record", "extra", "fields",
    "result",
)  # fmt: skip
LOG_KEYS = frozenset({
    "event", "level", "levelname", "log_level", "severity", "logger", "logger_name", "timestamp",
    "@timestamp", "asctime", "ts", "time", "datetime", "msg", "message", "lineno", "pathname",
    "funcName", "id", "created_at", "request_id", "trace_id", "span_id", "usage", "custom_id",
    "hostname", "service", "status", "status_code", "duration", "duration_ms", "latency",
    "latency_ms", "cost",
})  # fmt: skip
"""Keys that logs put next to a body's own; no body has them."""
MESSAGE_KEYS = (
    "prompt",
    "prompt_messages",
    "input_messages",
    "chat_messages",
    "conversation",
    "history",
)
"""Other names of `messages` next to a model."""
NON_BODY_KEYS = frozenset({*LOG_KEYS, *ADDRESS_KEYS, *REPLY_KEYS})
_NESTED_KEY_ORDER = (*BODY_KEYS, *_ROW_KEYS)
NESTED_KEYS = frozenset(_NESTED_KEY_ORDER)
_RANK = {name: rank for rank, name in enumerate(_NESTED_KEY_ORDER)}.__getitem__


def children(row: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield the values that may contain a request: usual names first, then the others in order."""
    named = NESTED_KEYS.intersection(row)
    for name in sorted(named, key=_RANK) if len(named) > 1 else named:
        if isinstance(row[name], (dict, str, bytes, list)):
            yield name, row[name]
    for name, value in row.items():
        if name in NESTED_KEYS or name in REPLY_KEYS or not isinstance(name, str):
            continue
        if isinstance(value, (dict, str)) or (isinstance(value, list) and _are_objects(value)):
            yield name, value


def is_request_line(value: Any) -> bool:
    """Return whether a value is the first line of an HTTP request."""
    return isinstance(value, str) and REQUEST_LINE.match(value) is not None


def may_hold_messages(value: Any) -> bool:
    """Return whether a string may contain a body as JSON or base64."""
    return isinstance(value, str) and (
        "messages" in value or value.startswith(BASE64_OBJECT_PREFIX)
    )


def _are_objects(values: list[Any]) -> bool:
    """Return whether a list may hold rows, rather than messages or plain values."""
    return bool(values) and isinstance(values[0], dict) and "role" not in values[0]


def are_rows(row: dict[str, Any]) -> bool:
    """Return whether `messages` are those of a queue, which hold rows, rather than of a chat."""
    messages = row["messages"]
    return (
        bool(messages)
        and "model" not in row
        and all(isinstance(one, dict) and "role" not in one for one in messages)
    )


def has_cut_off_json(row: dict[str, Any]) -> bool:
    """Return whether a row contains what looks like the beginning of a JSON object."""
    return any(isinstance(value, str) and value[:1] == "{" for _, value in children(row))
