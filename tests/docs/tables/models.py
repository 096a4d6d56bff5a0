"""The tables of the facts about models."""

from __future__ import annotations

import dataclasses
import re
from typing import Any

from adapter.translation.model_profiles import BUILT_IN_FACTS, FIELDS, ModelProfile

from . import code, codes, linked, table

MEANINGS = {
    "responses_only": "Chat Completions doesn't serve the model.",
    "chat_only": "The Responses API doesn't serve the model.",
    "tools_on_chat": "When Chat Completions takes function tools: `free` (always), `without effort` (unless an effort other than `none` is set), `effort none only`, `never`. Custom tools are always taken.",
    "azure_tools_on_chat": "The same on Azure.",
    "refused_efforts": "Values of `reasoning_effort` that both APIs refuse.",
    "responses_efforts": "Values of `reasoning_effort` that Chat Completions alone refuses.",
    "named_choice_stops": "With a named `tool_choice`, Chat Completions finishes with `stop` instead of `tool_calls`.",
    "logprobs_key": "Chat Completions writes `logprobs: null` into choices when none were requested.",
    "reasons": "The model reasons, and returns encrypted reasoning on request.",
    "shutdown": "The last day of service as an ISO date, or empty.",
}  # fmt: skip


def fields() -> str:
    """Return one row for each field of a profile."""
    assert tuple(MEANINGS) == FIELDS, "tests/docs/tables/models.py lacks a field, or has another"
    defaults = {one.name: one.default for one in dataclasses.fields(ModelProfile)}
    rows = [(code(name), _value(defaults[name]), MEANINGS[name]) for name in FIELDS]
    return table(("field", "default", "meaning"), rows)


def facts() -> str:
    """Return one row for each built-in fact but the dates."""
    rows = []
    for fact in BUILT_IN_FACTS:
        known = fact.known()
        if set(known) == {"shutdown"}:
            continue
        says = ", ".join(f"`{name}` = {_value(value)}" for name, value in known.items())
        rows.append((codes(fact.names), says, linked(fact.source)))
    return table(("models", "fact", "source"), rows)


def shutdowns() -> str:
    """Return one row for each last day of service."""
    found: dict[str, list[str]] = {}
    for fact in BUILT_IN_FACTS:
        if fact.shutdown:
            found.setdefault(fact.shutdown, []).extend(fact.names)
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\d", date) for date in found)
    return table(("last day", "models"), ((day, codes(found[day])) for day in sorted(found)))


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return code(str(value).lower())
    if isinstance(value, tuple):
        return codes(value) or "none"
    return code(value) if value else "none"
