"""Token logprobs, responses → chat (docs/mapping.md#logprobs)."""

from __future__ import annotations

from typing import Any


def logprobs_to_chat(entries: Any) -> list[dict[str, Any]]:
    """Translate a part's or a delta's logprobs.

    The shapes are the same, but a delta's entries lack `bytes`: those are the token's own UTF-8 bytes.
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
    spelled = entry.get("bytes")
    if spelled is None and isinstance(token, str):
        spelled = list(token.encode("utf-8", "surrogatepass"))
    return {"token": token, "logprob": entry.get("logprob"), "bytes": spelled}
