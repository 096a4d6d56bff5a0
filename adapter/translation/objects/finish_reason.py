"""`finish_reason` from a Response's status and items (docs/mapping.md#finish-reason)."""

from __future__ import annotations

from typing import Any

from adapter.translation.ledger import Ledger
from adapter.translation.types import ReplyContext

_DOCUMENTED = {"max_output_tokens": "length", "content_filter": "content_filter"}


def is_cut(response: dict[str, Any]) -> bool:
    """Return whether a response that has not failed is incomplete."""
    # dialect: several (a reason in incomplete_details, and the status completed)
    return response.get("status") == "incomplete" or _reason(response) is not None


def cut_by_error(response: dict[str, Any]) -> bool:
    """Return whether an incomplete response has an error and no reason: then it has failed."""
    return (
        bool(response.get("error"))
        and response.get("status") == "incomplete"
        and _reason(response) is None
    )


def _reason(response: dict[str, Any]) -> str | None:
    details = response.get("incomplete_details")
    reason = details.get("reason") if isinstance(details, dict) else None
    return reason if isinstance(reason, str) and reason else None


def finish_reason(
    response: dict[str, Any],
    context: ReplyContext,
    *,
    calls: bool,
    ledger: Ledger,
    cut: bool = False,
) -> str:
    """Return the finish reason of a response that has not failed (docs/decisions.md#finish-reason).

    Incomplete wins over calls, and a reason that Chat doesn't have is `length`, with an entry. A
    text that was `cut` at a stop sequence ended there (docs/mapping.md#stop). With a named
    `tool_choice` older models finish with `stop` (docs/wire-facts.md#forced-tools).
    """
    if response.get("error"):
        ledger.add("error", "dropped", "an answer was returned despite it")
    if is_cut(response) and not cut:
        reason = _reason(response)
        if reason in _DOCUMENTED:
            return _DOCUMENTED[reason]
        ledger.add(
            "incomplete_details.reason", "changed", "Chat has no such reason; reported as length"
        )
        return "length"
    if not calls:
        return "stop"
    if context.legacy_functions:
        return "function_call"
    model = response.get("model")
    if (
        context.named_choice
        and context.models.profile(
            model if isinstance(model, str) else context.model
        ).named_choice_stops
    ):
        return "stop"
    return "tool_calls"
