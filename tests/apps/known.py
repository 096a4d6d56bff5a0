"""The parameters of each API: a request with any other is refused, as by the service."""

from __future__ import annotations

from typing import Any

_BOTH = """metadata model moderation parallel_tool_calls prompt_cache_key prompt_cache_options prompt_cache_retention
    safety_identifier service_tier store stream stream_options temperature tool_choice tools top_logprobs top_p user"""
_CHAT = frozenset(
    f"""{_BOTH} audio frequency_penalty function_call functions logit_bias logprobs max_completion_tokens
    max_tokens messages modalities n prediction presence_penalty reasoning_effort response_format seed stop verbosity
    web_search_options""".split()
)
_RESPONSES = frozenset(
    f"""{_BOTH} background context_management conversation include input instructions
    max_output_tokens max_tool_calls previous_response_id prompt reasoning text truncation""".split()
)

_ITEMS = {
    "message": ({"role", "content"}, {"type", "id", "status", "phase"}),
    "function_call": ({"type", "call_id", "name", "arguments"}, {"id", "status", "namespace"}),
    "function_call_output": ({"type", "call_id", "output"}, {"id", "status"}),
    "custom_tool_call": ({"type", "call_id", "name", "input"}, {"id", "status"}),
    "custom_tool_call_output": ({"type", "call_id", "output"}, {"id", "status"}),
    "reasoning": ({"type", "summary"}, {"id", "encrypted_content", "content", "status"}),
}
_MESSAGES = {
    "system": ({"role", "content"}, {"name"}),
    "developer": ({"role", "content"}, {"name"}),
    "user": ({"role", "content"}, {"name"}),
    "assistant": (
        {"role"},
        {"annotations", "content", "name", "refusal", "audio", "tool_calls", "function_call"},
    ),
    "tool": ({"role", "content", "tool_call_id"}, {"name"}),
    "function": ({"role", "content", "name"}, set()),
}
_TOOLS = {"name", "description", "parameters", "strict"}
"""For each kind: the required keys, and the optional ones."""


def trouble(body: Any, *, chat: bool) -> str:
    """Return the problem of a body; an empty text where there is none."""
    if unknown := sorted(body.keys() - (_CHAT if chat else _RESPONSES)):
        return f"Unknown parameter: '{unknown[0]}'."
    given = body.get("messages" if chat else "input")
    if not isinstance(given, list):
        return "" if isinstance(given, str) and not chat else "Missing required parameter."
    for at, each in enumerate(given):
        kind = each.get("role") if chat else each.get("type", "message")
        where, shapes = (f"messages[{at}]", _MESSAGES) if chat else (f"input[{at}]", _ITEMS)
        needs, may = shapes.get(kind, (set(), None))
        if may is None:
            return f"Invalid value: '{kind}' at {where}."
        if missing := sorted(needs - each.keys()):
            return f"Missing required parameter: '{where}.{missing[0]}'."
        if unknown := sorted(each.keys() - needs - may):
            return f"Unknown parameter: '{where}.{unknown[0]}'."
    return _tools(body.get("tools") or (), chat=chat)


def _tools(tools: Any, *, chat: bool) -> str:
    for at, each in enumerate(tools):
        if each.get("type") != "function":
            continue
        flat = (
            each.get("function", {}) if chat else {key: each[key] for key in each if key != "type"}
        )
        where = f"tools[{at}].function" if chat else f"tools[{at}]"
        if "name" not in flat:
            return f"Missing required parameter: '{where}.name'."
        if unknown := sorted(flat.keys() - _TOOLS):
            return f"Unknown parameter: '{where}.{unknown[0]}'."
    return ""
