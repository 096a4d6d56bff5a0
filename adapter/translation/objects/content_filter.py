"""Azure's content filter results, Responses → Chat (docs/mapping.md#azure)."""

# dialect: Azure (docs/edge-cases.md#azure-content-filter)

from __future__ import annotations

from typing import Any


def _entries(holder: dict[str, Any], source: str | None = None) -> list[dict[str, Any]]:
    filters = holder.get("content_filters")
    found = (
        [entry for entry in filters if isinstance(entry, dict)] if isinstance(filters, list) else []
    )
    return [entry for entry in found if source is None or entry.get("source_type") == source]


def prompt_filter_results(response: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the results for the prompt in Chat's shape; empty without such a filter."""
    if "content_filters" not in response:
        return []
    return [
        {"prompt_index": i, "content_filter_results": _results(entry)}
        for i, entry in enumerate(_entries(response, "prompt"))
    ]


def completion_filter_results(response: dict[str, Any]) -> dict[str, Any] | None:
    """Return the results for the answer; None without such a filter."""
    if "content_filters" not in response:
        return None
    entries = _entries(response, "completion")
    if not entries and not _entries(response):
        return None
    merged: dict[str, Any] = {}
    for entry in entries:
        merged |= _results(entry)
    return merged


def _results(entry: dict[str, Any]) -> dict[str, Any]:
    results = entry.get("content_filter_results")
    return results if isinstance(results, dict) else {}


def error_details(error: dict[str, Any]) -> dict[str, Any]:
    """Return `innererror`, which Chat adds to the error of a filtered prompt."""
    entries = _entries(error)
    if not entries or "innererror" in error:
        return {}
    result = (
        entries[0].get("content_filter_results") or entries[0].get("content_filter_result") or {}
    )
    return {"innererror": {"code": "ResponsibleAIPolicyViolation", "content_filter_result": result}}
