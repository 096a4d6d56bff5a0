"""What a request is made of, without what it says: for tickets and logs.

What is kept is the API's own: names of fields, values that its types list (roles, types, efforts, models), booleans, null, and the numbers
of known parameters. Everything else that a caller could have written becomes its type and length, keys included.
"""

from __future__ import annotations

import re
import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import Any

import typing_extensions
from openai.types.chat.completion_create_params import CompletionCreateParamsNonStreaming
from openai.types.responses.response_create_params import ResponseCreateParamsNonStreaming

from adapter.names import OTHER
from adapter.translation.models import BUILT_IN
from adapter.translation.rules import CHAT_PARAMETERS

from .explaining import Explanation, Sent
from .fates import Fate

# Of JSON Schema; the SDK's types have schemas as any object.
_SCHEMA = {
    "type", "properties", "required", "items", "anyOf", "allOf", "oneOf", "not", "enum", "const", "description", "title",
    "default", "format", "pattern", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "minLength",
    "maxLength", "minItems", "maxItems", "uniqueItems", "additionalProperties", "patternProperties", "prefixItems",
    "$ref", "$defs", "$schema", "definitions", "examples", "nullable", "name", "strict",
}  # fmt: skip
_TYPES = {"object", "array", "string", "number", "integer", "boolean", "null"}

# Keys under these are the caller's.
_OPEN = frozenset({"properties", "patternProperties", "$defs", "definitions", "metadata", "logit_bias", "variables"})
_SCHEMAS = frozenset({"parameters", "schema", *_OPEN, "items", "anyOf", "allOf", "oneOf", "not", "additionalProperties", "prefixItems"})  # fmt: skip
# What numbers may be shown of: a limit or a setting, and nobody's number.
_NUMBERED = frozenset(
    {"frequency_penalty", "presence_penalty", "temperature", "top_p", "n", "top_logprobs", "max_tokens",
     "max_completion_tokens", "max_output_tokens", "max_tool_calls"}
)  # fmt: skip

_PATHS = frozenset({"v1", "openai", "deployments", "chat", "completions", "responses"})


class _Api(typing.NamedTuple):
    fields: frozenset[str]
    values: Mapping[str, frozenset[Any]]


@cache
def _api() -> _Api:
    """Read the names of fields and the values of choices off the SDK's types."""
    fields: set[str] = set(CHAT_PARAMETERS) | {"input_tokens", "output_tokens"}
    values: dict[str, set[Any]] = {"type": set(_TYPES)}
    seen: set[Any] = set()
    open_: list[tuple[str, Any]] = [("", CompletionCreateParamsNonStreaming), ("", ResponseCreateParamsNonStreaming)]
    while open_:
        field, kind = open_.pop()
        if typing_extensions.is_typeddict(kind):
            if kind not in seen:
                seen.add(kind)
                hints = typing_extensions.get_type_hints(kind, include_extras=True)
                fields |= hints.keys()
                open_ += hints.items()
        elif typing_extensions.get_origin(kind) in {typing.Literal, typing_extensions.Literal}:
            values.setdefault(field, set()).update(typing_extensions.get_args(kind))
        elif not isinstance(kind, (str, types.FunctionType)):
            open_ += [(field, one) for one in typing_extensions.get_args(kind) if not isinstance(one, str)]
    values.setdefault("model", set()).update(
        name for fact in BUILT_IN for name in fact.names if re.fullmatch(r"[\w.-]+", name)
    )
    return _Api(frozenset(fields), {field: frozenset(those) for field, those in values.items()})


def masked(body: Any) -> Any:
    """Copy a request of either API without what it says."""
    if not isinstance(body, Mapping):
        return _mask("", body, of_schema=False)
    return _members(body, of_schema=False, open_=False)


def masked_path(path: str) -> str:
    """Return a JSON path with nothing in it but the API's names and indexes."""
    fields = _api().fields | {"$", "headers", "query", "api-version", "authorization"}
    shown = (re.sub(r"\[\d+\]", "", part) for part in path.split("."))
    return ".".join(
        part if name in fields else OTHER + "".join(re.findall(r"\[\d+\]", part))
        for part, name in zip(path.split("."), shown, strict=True)
    )


def masked_name(name: str) -> str:
    """Return the name of a parameter, if it is one of the API's."""
    return name if name in _api().fields else OTHER


def masked_model(model: str | None) -> str | None:
    """Return the name of a model, if it is one that is known."""
    return model if model is None or model in _api().values["model"] else _length(model)


def masked_url_path(path: str) -> str:
    """Return the path of a URL without names of deployments and values of a query."""
    bare, _, query = path.partition("?")
    steps = [one if one in _PATHS or not one else "…" for one in bare.split("/")]
    return "/".join(steps) + ("?…" if query else "")


def without_contents(explained: Explanation) -> Explanation:
    """Copy an explanation without what its request says."""

    def sent(one: Sent | None) -> Sent | None:
        return None if one is None else Sent(masked_url_path(one.path), masked(one.body), one.requests)

    def loss(one: Any) -> Any:
        return replace(one, path=masked_path(one.path))

    def fate(one: Fate) -> Fate:
        why = one.why
        for path in sorted({each.path for each in explained.losses}, key=len, reverse=True):
            why = why.replace(path, masked_path(path))
        return replace(one, name=masked_name(one.name), to=masked_path(one.to) if one.to else "", why=why)

    def error(one: dict[str, Any] | None) -> dict[str, Any] | None:
        if one is None or not isinstance(one.get("param"), str):
            return one
        path = masked_path(one["param"])
        return {**one, "param": path, "message": str(one.get("message")).replace(one["param"], path)}

    decision = explained.decision
    return replace(
        explained,
        decision=replace(decision, losses=tuple(map(loss, decision.losses))),
        sent=sent(explained.sent),
        error=error(explained.error),
        translated=sent(explained.translated),
        refusal=error(explained.refusal),
        parameters=tuple(map(fate, explained.parameters)),
        losses=tuple(map(loss, explained.losses)),
        model=masked_model(explained.model),
    )


def _length(text: str) -> str:
    return f"<{len(text)} character{'s' * (len(text) != 1)}>"


def _members(value: Mapping[str, Any], *, of_schema: bool, open_: bool) -> dict[str, Any]:
    """Mask an object; `open_`: all of its keys are the caller's."""
    fields = frozenset() if open_ else frozenset(_SCHEMA) if of_schema else _api().fields
    unknown = iter(range(1, len(value) + 1))
    out: dict[str, Any] = {}
    for key, one in value.items():
        if key in fields:
            inside = (of_schema or key in _SCHEMAS) and key not in {"metadata", "logit_bias", "variables"}
            out[key] = _mask(key, one, of_schema=inside)
        else:
            out[f"<key {next(unknown)}>"] = _mask("", one, of_schema=of_schema)
    return out


def _mask(key: str, value: Any, *, of_schema: bool) -> Any:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return value if value in _api().values.get(key, ()) else _length(value)
    if isinstance(value, Mapping):
        return _members(value, of_schema=of_schema, open_=key in _OPEN)
    if isinstance(value, Sequence):
        return [_mask("" if key in {"required", "enum"} else key, one, of_schema=of_schema) for one in value]
    return value if key in _NUMBERED and isinstance(value, (int, float)) else "<number>"
