"""The hash that tells one set of settings from another.

It is of what they say beyond the defaults, so that a setting that is added later changes none.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import pydantic

from adapter._memory.urls import plain_url, without_secrets

_SECRET = frozenset({"memory_key"})
_UNORDERED = frozenset(
    {"emulate", "fallback", "hosts", "model", "tag", "call_site", "host", "api", "format"}
)
_POLICIES = ("unsupported_parameters", "drop")  # two ways to say one thing


def hash_of(settings: Any) -> str:
    """Return twelve hexadecimal digits, the same in every process, source and order of a list.

    Passwords and keys don't count: whoever sees the hash in a log could try out guesses.
    """
    fields = type(settings).model_fields
    names = {name for name, field in fields.items() if not field.exclude and name not in _SECRET}
    values = settings.model_dump(mode="json", include=names - {"rules", "memory"})
    defaults = {name: fields[name].get_default(call_default_factory=True) for name in values}
    values = _normalized(values)
    values = {
        name: value
        for name, value in values.items()
        if value != _normalized(_json(defaults)).get(name, {})
    }
    if settings.memory != fields["memory"].default:
        url = plain_url(settings.memory)
        values["memory"] = without_secrets(url) if isinstance(url, str) else type(url).__qualname__
    if settings.rules:
        # Their order counts, and so does a default that is written down: it beats what is outside.
        values["rules"] = [_rule(rule) for rule in settings.rules]
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:12]


def _rule(rule: Any) -> dict[str, Any]:
    values = rule.model_dump(mode="json", exclude_unset=True, exclude={"match"})
    match = rule.match.model_dump(mode="json", exclude_defaults=True)
    return _normalized(values) | ({"match": _normalized(match)} if match else {})


def _json(values: Mapping[str, Any]) -> Any:
    return pydantic.TypeAdapter(Any).dump_python(dict(values), mode="json")


def _normalized(values: Mapping[str, Any]) -> dict[str, Any]:
    """Put what can be said in several ways into one."""
    plain = {
        name: sorted(set(value)) if name in _UNORDERED else value
        for name, value in values.items()
        if name not in _POLICIES
    }
    if any(name in values for name in _POLICIES):
        plain["policies"] = {
            **(values.get("unsupported_parameters") or {}),
            **dict.fromkeys(values.get("drop") or (), "drop"),
        }
    return plain
