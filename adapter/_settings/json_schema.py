"""The JSON schema of the settings file, for editors that complete and validate TOML."""

from __future__ import annotations

import ast
import inspect
from typing import Any

from adapter.translation.parameters import CHAT_PARAMETERS, UNSUPPORTED_MESSAGE_FIELDS

from . import fields, match


def settings_schema() -> dict[str, Any]:
    """Return the JSON schema of a settings file, with the settings' docstrings as descriptions."""
    schema = fields.SettingsFields.model_json_schema()
    schema |= {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "adapter.toml"}
    schema["description"] = "Which API gets the Chat Completions calls of a service, and how."
    docstrings = _docstrings(fields) | _docstrings(match)
    inherited = docstrings.get("CallSettings", {})
    for name, described in (("SettingsFields", schema), *schema.get("$defs", {}).items()):
        for field, text in (inherited | docstrings.get(name, {})).items():
            if field in described.get("properties", {}):
                described["properties"][field]["description"] = text
    _write_types(schema)
    return schema


def _write_types(schema: dict[str, Any]) -> None:
    """Add what the validators accept or refuse beyond the types."""
    parameters = sorted(CHAT_PARAMETERS.keys() | UNSUPPORTED_MESSAGE_FIELDS)
    for name in ("model", "tag", "call_site", "host", "api", "format"):
        found = schema["$defs"]["Match"]["properties"][name]
        many = {"type": "array", "items": found.pop("items")}
        del found["type"]
        found["anyOf"] = [many["items"], many]
    for described in (schema, schema["$defs"]["Rule"]):
        properties = described["properties"]
        properties["drop"]["items"] = {"enum": parameters}
        properties["unsupported_parameters"]["propertyNames"] = {"enum": parameters}
        properties["sticky_by"]["pattern"] = f"^({fields.STICKY.pattern})$"
        properties["rollout"]["anyOf"].insert(
            1, {"type": "string", "pattern": r"^\s*\d+(\.\d*)?\s*%\s*$"}
        )
        del properties["on_bug"]["default"]
        properties["on_bug"]["deprecated"] = True
        described["not"] = {"required": ["on_bug", "on_internal_error"]}


def _docstrings(module: Any) -> dict[str, dict[str, str]]:
    """Return the docstrings of fields. Pydantic can read them too, but only at every import."""
    found: dict[str, dict[str, str]] = {}
    for node in ast.parse(inspect.getsource(module)).body:
        if not isinstance(node, ast.ClassDef):
            continue
        fields = found.setdefault(node.name, {})
        for field, text in zip(node.body, node.body[1:], strict=False):
            if (
                isinstance(field, ast.AnnAssign)
                and isinstance(field.target, ast.Name)
                and isinstance(text, ast.Expr)
                and isinstance(text.value, ast.Constant)
            ):
                fields[field.target.id] = " ".join(str(text.value.value).split())
    return found
