"""`usage`, responses → chat (MAPPING §4.8)."""

from __future__ import annotations

from typing import Any


def usage_to_chat(usage: Any) -> dict[str, Any] | None:
    """Translate a Response's usage; None where the server sent none (nothing is invented).

    The details that Chat always writes are zeros where the Responses API has no such count; `cache_write_tokens` is
    there when the server counts it (1,160 recorded bodies don't; WIRE_FACTS, SDK).
    """
    if not isinstance(usage, dict):
        return None
    prompt = usage.get("input_tokens")
    completion = usage.get("output_tokens")
    total = usage.get("total_tokens")
    if total is None and isinstance(prompt, int) and isinstance(completion, int):
        total = prompt + completion
    chat: dict[str, Any] = {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": total}
    given = usage.get("input_tokens_details")
    if isinstance(given, dict):
        details = {"cached_tokens": given.get("cached_tokens") or 0, "audio_tokens": 0}
        if given.get("cache_write_tokens") is not None:
            details["cache_write_tokens"] = given["cache_write_tokens"]
        chat["prompt_tokens_details"] = details
    given = usage.get("output_tokens_details")
    if isinstance(given, dict):
        chat["completion_tokens_details"] = {
            "reasoning_tokens": given.get("reasoning_tokens") or 0,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        }
    return chat
