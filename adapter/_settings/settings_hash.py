"""The hash of settings (docs/decisions.md#settings-hash).

It covers only what differs from the defaults, so that a setting added later changes no hash.
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
_POLICIES = ("unsupported_parameters", "drop")  # two forms of one setting


def hash_of(settings: Any) -> str:
    """Return twelve hexadecimal digits that don't depend on process, source or order of lists.

    Passwords and keys are left out, since a hash in a log would allow guessing them.
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
        # Order matters, and so do defaults that a rule sets: they override the outer settings.
        values["rules"] = [_rule(rule) for rule in settings.rules]
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:12]


def _rule(rule: Any) -> dict[str, Any]:
    values = rule.model_dump(mode="json", exclude_unset=True, exclude={"match"})
    match = rule.match.model_dump(mode="json", exclude_defaults=True)
    return _normalized(values) | ({"match": _normalized(match)} if match else {})


def _json(values: Mapping[str, Any]) -> Any:
    return pydantic.TypeAdapter(Any).dump_python(dict(values), mode="json")


def _normalized(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return values in a normal form, where one setting has several forms."""
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
