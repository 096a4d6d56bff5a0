"""The tables of the settings."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Iterable
from functools import cache
from typing import Any

import adapter
from adapter._settings import match, settings
from adapter._settings.environment import PREFIX
from adapter._settings.fields import CallSettings, SettingsFields
from adapter._settings.json_schema import _docstrings, settings_schema

from . import code, codes, linked, table

_LISTED = {
    "Which API gets a call": (
        "backend", "force", "allow_header", "hosts", "rollout", "sticky_by", "service", "rules",
        "flags", "flag_timeout",
    ),
    "What the Responses API can't carry": (
        "unsupported", "unsupported_parameters", "drop", "emulate",
    ),
    "When a call can't be answered there": (
        "fallback", "fallback_expiry", "on_internal_error", "on_bug",
    ),
    "Reasoning between the turns of a tool loop": (
        "carry_reasoning", "memory", "memory_scope", "memory_scope_headers", "memory_key",
        "memory_timeout",
    ),
    "Models and observers": ("models", "observers"),
}  # fmt: skip


def _with_all(listed: dict[str, tuple[str, ...]]) -> dict[str, list[str]]:
    """Return the groups with every setting: one that isn't listed follows the one before it."""
    groups = {group: list(names) for group, names in listed.items()}
    before = ""
    for name in adapter.Settings.model_fields:
        if not any(name in names for names in groups.values()):
            names = next(names for names in groups.values() if before in names)
            names.insert(names.index(before) + 1, name)
        before = name
    return groups


GROUPS = _with_all(_LISTED)

OBJECTS = {"flags": "a client of OpenFeature", "observers": "a list of callables"}
"""The settings that are objects, and so can't be written."""

_MANY = {
    "string": "strings",
    "table": "tables",
    "table of values": "tables of values",
    "name of a header": "names of headers",
}


@cache
def _schema() -> dict[str, Any]:
    return settings_schema()


def overview() -> str:
    """Return one row for each setting."""
    rows = [
        (
            f"[`{name}`](#{name})",
            _default(name),
            code(_variable(name)) if _is_written(name) else "–",
        )
        for names in GROUPS.values()
        for name in names
    ]
    return table(("setting", "default", "environment variable"), rows)


def described() -> str:
    """Return a section for each setting."""
    sections = []
    for group, names in GROUPS.items():
        sections.append(f"## {group}")
        sections += [_section(name) for name in names]
    return "\n\n".join(sections)


def match_fields() -> str:
    """Return one row for each field of a rule's `match`."""
    properties = _schema()["$defs"]["Match"]["properties"]
    rows = [(code(name), _type(properties[name], _schema())) for name in match.Match.model_fields]
    return table(("field", "value"), rows)


def _section(name: str) -> str:
    schema = _schema()
    kind = OBJECTS.get(name) or _type(schema["properties"][name], schema)
    environment = code(_variable(name)) if _is_written(name) else "none, since it is an object"
    lines = [
        f"### `{name}` {{#{name}}}",
        _meaning(name),
        "\n".join(
            (
                f"- **Values**: {kind}",
                f"- **Default**: {_default(name)}",
                f"- **Environment variable**: {environment}",
                f"- **Can be set in**: {', '.join(places(name))}",
            )
        ),
    ]
    return "\n\n".join(lines)


def places(name: str) -> Iterable[str]:
    """Yield where a setting can be written."""
    yield "`Settings(…)`"
    if _is_written(name):
        yield "the environment"
        yield "the file"
    if name in CallSettings.model_fields:
        yield "a rule"
    if name in inspect.signature(adapter.use).parameters:
        yield "`use(…)`"


def _meaning(name: str) -> str:
    found = _schema()["properties"].get(name, {}).get("description")
    argument = _docstrings(settings).get("Settings", {}).get(name)
    if found is None or argument is None or name in OBJECTS:
        return linked(found or argument or "")
    return linked(f"{found} As an argument: {argument[0].lower()}{argument[1:]}")


def _variable(name: str) -> str:
    return f"{PREFIX}{name.upper()}"


def _is_written(name: str) -> bool:
    return name in SettingsFields.model_fields


def _default(name: str) -> str:
    value = adapter.Settings.model_fields[name].get_default(call_default_factory=True)
    if name == "on_bug":
        return "that of `on_internal_error`"
    if value is None:
        return "unset"
    if isinstance(value, (tuple, dict)):
        value = list(value) if isinstance(value, tuple) else value
        return code(json.dumps(value)) if value else "none"
    return code(json.dumps(value) if isinstance(value, bool) else value)


def _type(schema: dict[str, Any], whole: dict[str, Any]) -> str:
    """Return the values that a JSON schema allows, in words."""
    if "$ref" in schema:
        return "table"
    if "anyOf" in schema:
        parts = [_type(one, whole) for one in schema["anyOf"] if one != {"type": "null"}]
        if {"type": "null"} in schema["anyOf"]:
            parts.append("unset")
        return ", or ".join(dict.fromkeys(parts))
    if "enum" in schema:
        return codes(schema["enum"]) if len(schema["enum"]) < 10 else "names of parameters"
    if "const" in schema:
        return code(schema["const"])
    match schema.get("type"):
        case "array":
            inside = _type(schema["items"], whole)
            return f"list of {_MANY.get(inside, inside)}"
        case "object":
            inner = schema.get("additionalProperties")
            values = _type(inner, whole) if isinstance(inner, dict) and inner else "values"
            return f"table of {_MANY.get(values, values)}"
        case "boolean":
            return "`true`, `false`"
        case "number":
            if "maximum" in schema:
                return f"number from {schema['minimum']} to {schema['maximum']}"
            return "number above 0" if "exclusiveMinimum" in schema else "number"
        case "string":
            pattern = schema.get("pattern", "").removeprefix("^(").removesuffix(")$")
            if "header:" in pattern:
                return codes(re.sub(r"header:.*", "header:NAME", one) for one in _choices(pattern))
            if r"\d" in pattern:
                return 'string such as `"25%"`'
            return "name of a header" if pattern else "string"
    return "any"


def _choices(pattern: str) -> list[str]:
    return re.split(r"\|(?![^\[]*\])", pattern)
