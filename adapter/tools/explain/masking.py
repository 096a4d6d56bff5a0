"""Mask a request for bug reports and logs: its structure stays, its contents don't.

These are kept: the API's names of fields, values that its types list (roles, types, efforts,
models), booleans, null, and the numbers of known parameters. All else that a caller could have
written, keys included, becomes its type and length.
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

from adapter._util.safe_names import OTHER
from adapter.translation.model_profiles import BUILT_IN_FACTS
from adapter.translation.parameters import CHAT_PARAMETERS

from .explain import Explanation, SentRequest
from .outcomes import ParameterOutcome

# JSON Schema's; in the SDK's types a schema is any object.
_SCHEMA_WORDS = frozenset({
    "type", "properties", "required", "items", "anyOf", "allOf", "oneOf", "not", "enum", "const",
    "description", "title", "default", "format", "pattern", "minimum", "maximum",
    "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "minLength", "maxLength", "minItems",
    "maxItems", "uniqueItems", "additionalProperties", "patternProperties", "prefixItems", "$ref",
    "$defs", "$schema", "definitions", "examples", "nullable", "name", "strict",
})  # fmt: skip
_TYPES = {"object", "array", "string", "number", "integer", "boolean", "null"}

# Keys below these are the caller's: names in schemas, and objects that the API takes unread.
_CALLER_KEYED = frozenset({"properties", "patternProperties", "$defs", "definitions"})
_OPAQUE_OBJECTS = frozenset(
    {"metadata", "logit_bias", "variables", "const", "default", "headers", "extra_body"}
)
_OPAQUE_LISTS = frozenset({"required", "enum", "examples", "default", "const", "stop"})
_MAX_DEPTH = 60  # levels
_SCHEMA_KEYS = frozenset({
    "parameters", "schema", *_CALLER_KEYED, "items", "anyOf", "allOf", "oneOf", "not",
    "additionalProperties", "prefixItems",
})  # fmt: skip
# The parameters whose numbers are shown: limits and settings, never personal data.
_SHOWN_NUMBERS = frozenset({
    "frequency_penalty", "presence_penalty", "temperature", "top_p", "n", "top_logprobs",
    "max_tokens", "max_completion_tokens", "max_output_tokens", "max_tool_calls",
})  # fmt: skip

_URL_STEPS = frozenset({"v1", "openai", "deployments", "chat", "completions", "responses"})


class _ApiNames(typing.NamedTuple):
    fields: frozenset[str]
    values: Mapping[str, frozenset[Any]]


@cache
def _api_names() -> _ApiNames:
    """Collect the names of fields and the values of literals from the SDK's types."""
    fields: set[str] = set(CHAT_PARAMETERS) | {"input_tokens", "output_tokens"}
    values: dict[str, set[Any]] = {"type": set(_TYPES)}
    seen: set[Any] = set()
    pending: list[tuple[str, Any]] = [
        ("", CompletionCreateParamsNonStreaming),
        ("", ResponseCreateParamsNonStreaming),
    ]
    while pending:
        field, kind = pending.pop()
        if typing_extensions.is_typeddict(kind):
            if kind not in seen:
                seen.add(kind)
                hints = typing_extensions.get_type_hints(kind, include_extras=True)
                fields |= hints.keys()
                pending += hints.items()
        elif typing_extensions.get_origin(kind) in {typing.Literal, typing_extensions.Literal}:
            values.setdefault(field, set()).update(typing_extensions.get_args(kind))
        elif not isinstance(kind, (str, types.FunctionType)):
            pending += [
                (field, one) for one in typing_extensions.get_args(kind) if not isinstance(one, str)
            ]
    values.setdefault("model", set()).update(
        name for fact in BUILT_IN_FACTS for name in fact.names if re.fullmatch(r"[\w.-]+", name)
    )
    return _ApiNames(
        frozenset(fields), {field: frozenset(listed) for field, listed in values.items()}
    )


def masked(body: Any) -> Any:
    """Copy a request of either API without its contents."""
    if not isinstance(body, Mapping):
        return _opaque(body, 0)
    return _members(body, of_schema=False, caller_keyed=False, depth=0)


def masked_path(path: str) -> str:
    """Return a JSON path with only the API's names and indexes."""
    fields = _api_names().fields | {"$", "headers", "query", "api-version", "authorization"}
    shown = (re.sub(r"\[\d+\]", "", part) for part in path.split("."))
    return ".".join(
        part if name in fields else OTHER + "".join(re.findall(r"\[\d+\]", part))
        for part, name in zip(path.split("."), shown, strict=True)
    )


def masked_name(name: str) -> str:
    """Return the name of a parameter if it is the API's, else a placeholder."""
    return name if name in _api_names().fields else OTHER


def masked_model(model: str | None) -> str | None:
    """Return the name of a model if it is a known one, else its length."""
    return model if model is None or model in _api_names().values["model"] else _length(model)


def masked_url_path(path: str) -> str:
    """Return the path of a URL without names of deployments and the query."""
    bare, _, query = path.partition("?")
    steps = [one if one in _URL_STEPS or not one else "…" for one in bare.split("/")]
    return "/".join(steps) + ("?…" if query else "")


def without_contents(explained: Explanation) -> Explanation:
    """Copy an explanation without the contents of its request."""

    def sent(one: SentRequest | None) -> SentRequest | None:
        return (
            None
            if one is None
            else SentRequest(masked_url_path(one.path), masked(one.body), one.requests)
        )

    def loss(one: Any) -> Any:
        return replace(one, path=masked_path(one.path))

    def outcome(one: ParameterOutcome) -> ParameterOutcome:
        why = one.why
        for path, shown in hidden:
            why = why.replace(path, shown)
        return replace(
            one, name=masked_name(one.name), to=masked_path(one.to) if one.to else "", why=why
        )

    def error(one: dict[str, Any] | None) -> dict[str, Any] | None:
        if one is None or not isinstance(one.get("param"), str):
            return one
        path = masked_path(one["param"])
        return {
            **one,
            "param": path,
            "message": str(one.get("message")).replace(one["param"], path),
        }

    paths = sorted({one.path for one in explained.losses}, key=len, reverse=True)
    hidden = [(path, shown) for path in paths if (shown := masked_path(path)) != path]
    decision, rollout = explained.decision, explained.rollout
    if rollout is not None and rollout.place is not None:
        # All digits would be a fingerprint of the content.
        rollout = replace(rollout, place=round(rollout.place, 2))
    return replace(
        explained,
        rollout=rollout,
        decision=replace(decision, losses=tuple(map(loss, decision.losses))),
        sent=sent(explained.sent),
        error=error(explained.error),
        translated=sent(explained.translated),
        refusal=error(explained.refusal),
        parameters=tuple(map(outcome, explained.parameters)),
        losses=tuple(map(loss, explained.losses)),
        model=masked_model(explained.model),
    )


def _length(text: str) -> str:
    return f"<{len(text)} character{'s' * (len(text) != 1)}>"


def _members(
    value: Mapping[str, Any], *, of_schema: bool, caller_keyed: bool, depth: int
) -> dict[str, Any]:
    """Mask an object; with `caller_keyed` all of its keys are the caller's."""
    fields = frozenset() if caller_keyed else _SCHEMA_WORDS if of_schema else _api_names().fields
    unknown = iter(range(1, len(value) + 1))
    out: dict[str, Any] = {}
    for key, one in value.items():
        if key in fields:
            out[key] = _mask(key, one, of_schema=of_schema or key in _SCHEMA_KEYS, depth=depth)
        elif of_schema and caller_keyed:  # a property's schema
            out[f"<key {next(unknown)}>"] = _mask("", one, of_schema=True, depth=depth)
        else:
            out[f"<key {next(unknown)}>"] = _opaque(one, depth)
    return out


def _mask(key: str, value: Any, *, of_schema: bool, depth: int) -> Any:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return value if value in _api_names().values.get(key, ()) else _length(value)
    if depth >= _MAX_DEPTH:
        return "<nested deeper>"
    if isinstance(value, Mapping):
        if key in _OPAQUE_OBJECTS:
            return _opaque(value, depth)
        return _members(
            value, of_schema=of_schema, caller_keyed=key in _CALLER_KEYED, depth=depth + 1
        )
    if isinstance(value, Sequence):
        if key in _OPAQUE_LISTS:
            return _opaque(value, depth)
        return [_mask(key, one, of_schema=of_schema, depth=depth + 1) for one in value]
    return value if key in _SHOWN_NUMBERS and isinstance(value, (int, float)) else "<number>"


def _opaque(value: Any, depth: int) -> Any:
    """Mask a value that is the caller's in all parts; its structure stays."""
    if value is None:
        return None
    if isinstance(value, bool):
        return "<boolean>"
    if isinstance(value, str):
        return _length(value)
    if depth >= _MAX_DEPTH:
        return "<nested deeper>"
    if isinstance(value, Mapping):
        return {f"<key {k}>": _opaque(one, depth + 1) for k, one in enumerate(value.values(), 1)}
    return [_opaque(one, depth + 1) for one in value] if isinstance(value, Sequence) else "<number>"
