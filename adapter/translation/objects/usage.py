"""`usage`, Responses → Chat (docs/mapping.md#usage)."""

from __future__ import annotations

from typing import Any

_KNOWN_KEYS = frozenset({
    "input_tokens", "output_tokens", "total_tokens",
    "input_tokens_details", "output_tokens_details",
    "prompt_tokens", "completion_tokens",
    "prompt_tokens_details", "completion_tokens_details",
})  # fmt: skip


_PROMPT = {"cached_tokens": 0, "audio_tokens": 0}
_COMPLETION = {
    "reasoning_tokens": 0,
    "audio_tokens": 0,
    "accepted_prediction_tokens": 0,
    "rejected_prediction_tokens": 0,
}


def usage_to_chat(usage: Any) -> dict[str, Any] | None:
    """Translate a Response's usage; None if the server sent no token counts.

    Details that Chat always has are 0 if the Responses API has no such count;
    `cache_write_tokens` is there only if the server counts it (docs/wire-facts.md#sdk-types).
    """
    # dialect: several (Chat's names, further counts such as `cost`, no details, no usage)
    # dialect: vLLM (`tool_output_tokens`, and counts per turn)
    if not isinstance(usage, dict):
        return None
    prompt = _first(usage, "input_tokens", "prompt_tokens")
    completion = _first(usage, "output_tokens", "completion_tokens")
    if prompt is None or completion is None:
        return None
    total = _count(usage.get("total_tokens"))
    chat: dict[str, Any] = {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion if total is None else total,
    }
    given = _details(_PROMPT, usage, "input_tokens_details", "prompt_tokens_details")
    if given is not None:
        chat["prompt_tokens_details"] = given
    given = _details(_COMPLETION, usage, "output_tokens_details", "completion_tokens_details")
    if given is not None:
        chat["completion_tokens_details"] = given
    if not usage.keys() <= _KNOWN_KEYS:
        chat |= {key: value for key, value in usage.items() if key not in _KNOWN_KEYS}
    return chat


def _first(usage: dict[str, Any], key: str, chat_key: str) -> int | None:
    found = _count(usage.get(key))
    return _count(usage.get(chat_key)) if found is None else found


def _count(value: Any) -> int | None:
    if type(value) is int:
        return value
    return int(value) if isinstance(value, float) and value.is_integer() else None


def _details(
    zeros: dict[str, Any], usage: dict[str, Any], key: str, chat_key: str
) -> dict[str, Any] | None:
    """Return the details of one count, without values that aren't counts; None if absent."""
    found = usage.get(key)
    if not isinstance(found, dict):
        found = usage.get(chat_key)
        if not isinstance(found, dict):
            return None
    counts = zeros.copy()
    for name, value in found.items():
        count = _count(value) if name.endswith("_tokens") else value
        if count is not None:
            counts[name] = count
    return counts
