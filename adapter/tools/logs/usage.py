"""Read the usage in a logged reply, in Chat's terms, from the names of other tools."""

from __future__ import annotations

import base64
import binascii
from typing import Any

from adapter._util import fast_json

from .json_path import parse, read_text

_PROMPT = (
    "prompt_tokens",
    "input_tokens",
    "promptTokens",
    "inputTokens",
    "$ai_input_tokens",
    "prompt",
    "input",
)
_COMPLETION = (
    "completion_tokens",
    "output_tokens",
    "completionTokens",
    "outputTokens",
    "$ai_output_tokens",
    "completion",
    "output",
)
_REASONING = tuple(
    map(
        parse,
        (
            "completion_tokens_details.reasoning_tokens",
            "output_tokens_details.reasoning_tokens",
            "output_token_details.reasoning",
            "reasoning_tokens",
            "reasoningTokens",
            "completion_reasoning_tokens",
            "$ai_reasoning_tokens",
            "completion_details.reasoning",
            "reasoning.output_tokens",
        ),
    )
)
_USAGE_KEYS = ("usage", "token_usage", "usage_metadata", "usageMetadata")
_NESTED_KEYS = ("body", "json", "content", "text", "string", "llm_output", "message", "data")
_MAX_DEPTH = 4
_MAX_CHARACTERS = 16 << 20  # of a reply in a string


def usage_of(value: Any, depth: int = 0) -> dict[str, Any] | None:
    """Return the usage in a value: a usage, or a reply with one, also as text, base64 or events."""
    value = _read(value)
    if isinstance(value, list):
        value = value[0] if value else None
    if not isinstance(value, dict) or depth > _MAX_DEPTH:
        return None
    for name in _USAGE_KEYS:
        inner = value.get(name)
        if isinstance(inner, dict) and (found := _with_chat_names(inner)) is not None:
            return found
    found = _with_chat_names(value)
    if found is not None:
        return found
    if value.get("encoding") == "base64" and isinstance(value.get("text"), str):
        return usage_of(_decoded(value["text"]), depth + 1)
    return next(
        (
            found
            for name in _NESTED_KEYS
            if (found := usage_of(value.get(name), depth + 1)) is not None
        ),
        None,
    )


def _with_chat_names(usage: dict[str, Any]) -> dict[str, Any] | None:
    if type(usage.get("prompt_tokens")) is int and type(usage.get("completion_tokens")) is int:
        return usage  # in Chat's terms, as most are
    prompt, completion = _count(usage, _PROMPT), _count(usage, _COMPLETION)
    if prompt is None:
        return None
    if "prompt_tokens" in usage and "completion_tokens" in usage:
        return usage  # in Chat's terms
    out: dict[str, Any] = {"prompt_tokens": prompt, "completion_tokens": completion or 0}
    reasoning = next(
        (count for path in _REASONING if type(count := _number(path.find(usage))) is int), None
    )
    return (
        out
        if reasoning is None
        else {**out, "completion_tokens_details": {"reasoning_tokens": reasoning}}
    )


def _count(usage: dict[str, Any], known: tuple[str, ...]) -> int | None:
    return next((count for name in known if (count := _number(usage.get(name))) is not None), None)


def _number(value: Any) -> int | None:
    if isinstance(value, str) and value.isdecimal() and len(value) < 16:
        value = int(value)
    if type(value) is float and value.is_integer():
        value = int(value)
    return value if type(value) is int and value >= 0 else None


def _read(value: Any) -> Any:
    if not isinstance(value, (str, bytes)) or len(value) > _MAX_CHARACTERS:
        return value
    text = value.decode("utf-8", "replace") if isinstance(value, bytes) else value
    if text.startswith(("data:", "event:")):  # a stream: the usage is in one of the last events
        lines = (
            line[5:].strip() for line in reversed(text.splitlines()) if line.startswith("data:")
        )
        return next(
            (read_text(line) for line in lines if '"usage":{' in line.replace(" ", "")), None
        )
    return read_text(text)


def _decoded(text: str) -> Any:
    try:
        return fast_json.loads(base64.b64decode(text, validate=True))
    except (binascii.Error, ValueError):
        try:
            return base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError):
            return None
