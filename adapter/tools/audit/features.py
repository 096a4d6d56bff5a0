"""Name the features that a request uses, apart from single parameters."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

FEATURES = (
    "stream",
    "tools",
    "tools with reasoning",
    "deprecated functions",
    "JSON schema",
    "JSON object",
    "images",
    "files",
    "audio in",
    "audio out",
    "several answers",
    "log probabilities",
    "stored",
    "tool calls in the history",
)
"""The names of all features, in the order in which they are shown."""

_PARTS = {"image_url": "images", "file": "files", "input_audio": "audio in"}


def features_of(body: Any, *, reasons: bool) -> tuple[str, ...]:
    """Return the features that a body uses; `reasons` is whether its model does reasoning."""
    if not isinstance(body, dict):
        return ()
    found = set(_of_parameters(body, reasons)) | set(_of_messages(body.get("messages")))
    return tuple(name for name in FEATURES if name in found)


def _of_parameters(body: dict[str, Any], reasons: bool) -> Iterator[str]:
    if body.get("stream") is True:
        yield "stream"
    if body.get("tools") or body.get("functions"):
        yield "tools"
        if reasons and body.get("reasoning_effort") != "none":
            yield "tools with reasoning"
    if body.get("functions") or body.get("function_call") is not None:
        yield "deprecated functions"
    shape = body.get("response_format")
    kind = shape.get("type") if isinstance(shape, dict) else None
    if kind in ("json_schema", "json_object"):
        yield "JSON schema" if kind == "json_schema" else "JSON object"
    modalities = body.get("modalities")
    if isinstance(modalities, list) and "audio" in modalities:
        yield "audio out"
    n = body.get("n")
    if type(n) is int and n > 1:
        yield "several answers"
    if body.get("logprobs") is True:
        yield "log probabilities"
    if body.get("store") is True:
        yield "stored"


def _of_messages(messages: Any) -> Iterator[str]:
    for message in messages if isinstance(messages, list) else ():
        if not isinstance(message, dict):
            continue
        if (
            message.get("tool_calls")
            or message.get("function_call")
            or message.get("role") in ("tool", "function")
        ):
            yield "tool calls in the history"
        content = message.get("content")
        for part in content if isinstance(content, list) else ():
            kind = part.get("type") if isinstance(part, dict) else None
            if isinstance(kind, str) and kind in _PARTS:
                yield _PARTS[kind]
