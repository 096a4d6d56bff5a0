"""`usage`, responses → chat (MAPPING §4.8)."""

from __future__ import annotations

from typing import Any

_OWN = frozenset({
    "input_tokens", "output_tokens", "total_tokens", "input_tokens_details", "output_tokens_details",
    "prompt_tokens", "completion_tokens", "prompt_tokens_details", "completion_tokens_details",
})  # fmt: skip


def usage_to_chat(usage: Any) -> dict[str, Any] | None:
    """Translate a Response's usage; None where the server sent none, or none that counts (nothing is invented).

    Chat's names are read as well: some servers write them on both APIs. What else a server counts (`cost`)
    stays. The details that Chat always writes are zeros where the Responses API has no such count;
    `cache_write_tokens` is there when the server counts it (1,160 recorded bodies don't; WIRE_FACTS, SDK).
    """
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
    given = _details(usage, "input_tokens_details", "prompt_tokens_details")
    if given is not None:
        chat["prompt_tokens_details"] = {"cached_tokens": 0, "audio_tokens": 0} | given
    given = _details(usage, "output_tokens_details", "completion_tokens_details")
    if given is not None:
        chat["completion_tokens_details"] = {
            "reasoning_tokens": 0,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        } | given
    return chat | {key: value for key, value in usage.items() if key not in _OWN}


def _first(usage: dict[str, Any], *keys: str) -> int | None:
    return next((found for key in keys if (found := _count(usage.get(key))) is not None), None)


def _count(value: Any) -> int | None:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _details(usage: dict[str, Any], *keys: str) -> dict[str, Any] | None:
    """Return the counts of a kind of tokens, without those that are no counts; None where there are no details."""
    found = next((usage[key] for key in keys if isinstance(usage.get(key), dict)), None)
    if found is None:
        return None
    counts = {key: _count(value) if key.endswith("_tokens") else value for key, value in found.items()}
    return {key: value for key, value in counts.items() if value is not None}
