"""Requests that no caller sends on purpose.

Every parameter, and every name of the other API, with values that it doesn't accept.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

from adapter.translation import CHAT_PARAMETERS

Json = dict[str, Any]

USER: Json = {"role": "user", "content": "hi"}
TOOL: Json = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
BASES: dict[str, Json] = {
    "plain": {"model": "gpt-4.1", "messages": [USER]},
    "tools": {
        "model": "gpt-5.4", "messages": [USER], "tools": [TOOL], "reasoning_effort": "low",
        "response_format": {"type": "json_object"},
    },
    "responses only": {"model": "o3-pro", "messages": [USER], "logprobs": True, "max_tokens": 100, "stream": True},
}  # fmt: skip

RESPONSES_ONLY = ("include", "reasoning", "text", "instructions", "previous_response_id", "conversation", "prompt", "truncation",
                  "background", "input", "max_output_tokens")  # fmt: skip
NAMES = (*CHAT_PARAMETERS, *RESPONSES_ONLY, "no_parameter")

VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 1.0, 1.5, 10**30, "", "x", "1", "true", "\ud83d", [], [None], ["x"], {}, {"type": None}, {"x": 1},
    [[]], [{}], {"effort": None, "format": None},
)  # fmt: skip

MESSAGES: dict[str, Json] = {
    "name": {"role": "user", "content": "x", "name": None},
    "part": {"role": "user", "content": [None]},
    "text": {"role": "user", "content": [{"type": "text", "text": None}]},
    "no parts": {"role": "user", "content": []},
    "content": {"role": "user", "content": None},
    "role": {"role": None, "content": "x"},
    "tool calls": {"role": "assistant", "content": "x", "tool_calls": None, "function_call": None, "refusal": None, "audio": None},
    "no tool calls": {"role": "assistant", "content": "x", "tool_calls": []},
    "tool call": {"role": "assistant", "content": None, "tool_calls": [None]},
    "nothing": {"role": "assistant", "content": None},
    "result": {"role": "tool", "content": None, "tool_call_id": "c"},
    "unknown": {"role": "user", "content": "x", "zzz": None},
}  # fmt: skip
"""Messages with nulls in them; the first ones occur in applications that dump SDK objects."""


def bodies(base: str, name: str, values: tuple[Any, ...] = VALUES) -> Iterator[Json]:
    """Yield a base body with one parameter set to each of the values."""
    for value in values:
        yield copy.deepcopy(BASES[base]) | {name: copy.deepcopy(value)}
