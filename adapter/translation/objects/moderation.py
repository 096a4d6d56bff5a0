"""Moderation results, Responses → Chat (docs/mapping.md#moderation)."""

from __future__ import annotations

from typing import Any


def moderation_to_chat(moderation: Any) -> dict[str, Any] | None:
    """Translate `moderation`: the result of each side becomes a list of one, beside its model."""
    if not isinstance(moderation, dict):
        return None
    return {side: _side(result) for side, result in moderation.items()}


def _side(result: Any) -> Any:
    if not isinstance(result, dict) or result.get("type") != "moderation_result":
        return result
    return {"type": "moderation_results", "model": result.get("model"), "results": [result]}
