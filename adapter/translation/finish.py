"""How an answer ended: status → finish_reason (MAPPING §4.6)."""

from __future__ import annotations

from typing import Any

from .draft import Asked
from .ledger import Ledger

_DOCUMENTED = {"max_output_tokens": "length", "content_filter": "content_filter"}


def finish_reason(response: dict[str, Any], asked: Asked, *, calls: bool, ledger: Ledger, cut: bool = False) -> str:
    """Return the finish reason of a response that has not failed.

    Incomplete wins over calls; a reason that Chat doesn't know is `length`, the safe reading of a cut answer, with an
    entry; but a text that was `cut` at a stop sequence ended there, whatever became of the rest (MAPPING §1.4). With a
    named `tool_choice` old models say `stop` on Chat (WIRE_FACTS, chat streams).
    """
    if response.get("status") == "incomplete" and not cut:
        details = response.get("incomplete_details")
        reason = details.get("reason") if isinstance(details, dict) else None
        if isinstance(reason, str) and reason in _DOCUMENTED:
            return _DOCUMENTED[reason]
        ledger.note("incomplete_details.reason", "changed", "Chat has no such reason; given as length")
        return "length"
    if not calls:
        return "stop"
    if asked.legacy_functions:
        return "function_call"
    model = response.get("model")
    if asked.named_choice and asked.models.of(model if isinstance(model, str) else asked.model).named_choice_stops:
        return "stop"
    return "tool_calls"
