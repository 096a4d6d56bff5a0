"""Token logprobs, Responses → Chat (docs/mapping.md#logprobs)."""

from __future__ import annotations

from typing import Any


def logprobs_to_chat(entries: Any) -> list[dict[str, Any]]:
    """Translate the logprobs of a part or a delta.

    The shapes are equal, but entries of deltas lack `bytes`: they are the token's UTF-8 bytes.
    """
    if not isinstance(entries, list):
        return []
    return [
        {
            **_entry(entry),
            "top_logprobs": [
                _entry(top) for top in _as_list(entry.get("top_logprobs")) if isinstance(top, dict)
            ],
        }
        for entry in entries
        if isinstance(entry, dict)
    ]


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _entry(entry: dict[str, Any]) -> dict[str, Any]:
    token = entry.get("token")
    encoded = entry.get("bytes")
    if encoded is None and isinstance(token, str):
        encoded = list(token.encode("utf-8", "surrogatepass"))
    return {"token": token, "logprob": entry.get("logprob"), "bytes": encoded}
