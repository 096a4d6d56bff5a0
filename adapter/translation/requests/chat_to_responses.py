"""Translate a Chat Completions request body to a Responses request body."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any

from adapter.errors import MalformedRequest, Unsupported
from adapter.translation.json_types import json_type
from adapter.translation.parameters import (
    CHAT_ONLY,
    CHAT_PARAMETERS,
    RESERVED_KEYS,
    ROUTING_FIELDS,
    Conversion,
)
from adapter.translation.policy import Policy
from adapter.translation.reasoning.turns import ENCRYPTED, asks_encrypted
from adapter.translation.types import EMPTY_MAPPING, PathMap, ReplyContext, Translation

# These register their converters.
from . import emulation, messages, options, response_format, tools  # noqa: F401
from .builder import RequestBuilder
from .converters import CONVERTERS

_DEFAULT_POLICY = Policy()
_ORDER = {name: place for place, name in enumerate(CHAT_PARAMETERS)}


def chat_to_responses(body: Any, policy: Policy = _DEFAULT_POLICY) -> Translation:
    """Translate the JSON body of `POST /chat/completions` to that of `POST /responses`.

    `body` is never changed. Equal bodies give equal translations, byte for byte, and the input of a
    longer conversation begins with that of the shorter one, for prompt caches. Keys that are no
    parameters of Chat (from `extra_body`) are passed on; `reasoning`, `text` and `include` are
    merged with translated values. See docs/mapping.md#requests.

    The policy decides about a value that can't be carried: the call is kept on Chat
    (`Translation.body` is None, with reasons in `held`), the value is dropped with an entry in
    `losses`, or Unsupported is raised. A body that is no Chat request is kept on Chat too, since
    Chat rejects it itself; unless the policy is `chat`, MalformedRequest is raised.
    """
    builder = RequestBuilder(policy)
    asks_reasoning = False
    try:
        _translate(builder, body)
        asks_reasoning = _ask_for_reasoning(builder, body)
    except MalformedRequest as error:
        if policy.unsupported != "chat":
            raise
        builder.held.add(error.path, "held", error.why)
        body = body if isinstance(body, dict) else {}
    if not builder.held:
        builder.reply_context["json_format"] = _asks_json(builder.body)
    return Translation(
        body=None if builder.held else builder.body,
        losses=tuple(builder.ledger),
        held=tuple(builder.held),
        paths=PathMap(
            tuple(builder.origins), tuple(builder.tools), MappingProxyType(builder.names)
        ),
        reply_context=ReplyContext(
            model=body["model"] if isinstance(body.get("model"), str) else "",
            stream=bool(body.get("stream")),  # any true value, as the SDK decides
            metadata=body.get("metadata") is not None,
            background=builder.body.get("background") is True,
            stored=builder.body.get("store") is True,
            moderation=body.get("moderation") is not None,
            models=policy.models,
            call_ids=MappingProxyType(builder.call_ids) if builder.call_ids else EMPTY_MAPPING,
            **builder.reply_context,
        ),
        asks_reasoning=asks_reasoning,
        droppable=MappingProxyType(builder.droppable) if builder.held else EMPTY_MAPPING,
    )


def _translate(builder: RequestBuilder, body: Any) -> None:
    if not isinstance(body, dict):
        raise MalformedRequest("$", f"expected a JSON object, got {json_type(body)}")
    if "messages" not in body:
        raise MalformedRequest("messages", "missing")
    _check_model(builder, body.get("model"))
    # The defaults differ (docs/mapping.md#defaults); a value of the caller's replaces this one.
    builder.set("store", False)
    for name in sorted(filter(CHAT_PARAMETERS.__contains__, body), key=_ORDER.__getitem__):
        row, value = CHAT_PARAMETERS[name], body[name]
        if row.is_neutral(value) and name != "messages":
            continue
        match row.conversion:
            case Conversion.COPY:
                builder.set(row.target, value)
                for path in row.target_paths:
                    builder.names.setdefault(path, name)
            case Conversion.CONVERT:
                builder.names |= dict.fromkeys(row.error_names, name)
                CONVERTERS[name](builder, value, body)
            case Conversion.REFUSE:
                builder.unsupported(name, name, row.note.rstrip("."))
    _extras(builder, body)
    builder.body = {
        name: builder.body[name] for name in ROUTING_FIELDS if name in builder.body
    } | builder.body


def _ask_for_reasoning(builder: RequestBuilder, body: dict[str, Any]) -> bool:
    """Ask for encrypted reasoning if the policy says so; return whether this changed the body."""
    if not builder.policy.carries_reasoning(body.get("model")) or asks_encrypted(builder.body):
        return False
    builder.include(ENCRYPTED)
    return asks_encrypted(builder.body)


def _asks_json(body: dict[str, Any]) -> bool:
    text = body.get("text")
    shape = text.get("format") if isinstance(text, dict) else None
    return isinstance(shape, dict) and shape.get("type") in ("json_object", "json_schema")


def _check_model(builder: RequestBuilder, model: Any) -> None:
    """Hold calls of models that only Chat serves; the model can't be dropped."""
    if isinstance(model, str) and builder.policy.models.profile(model).chat_only:
        _hold(builder, "model", "the model is served on Chat Completions only")


def _hold_chat_only(builder: RequestBuilder, name: str, value: Any) -> None:
    if value is not None:
        _hold(builder, name, "Azure answers from data sources on Chat Completions only")


def _hold(builder: RequestBuilder, name: str, why: str) -> None:
    if builder.policy.action_for(name) == "error":
        raise Unsupported(name, why)
    builder.held.add(name, "held", why)


def _extras(builder: RequestBuilder, body: dict[str, Any]) -> None:
    for key, value in body.items():
        if key in CHAT_PARAMETERS:
            continue
        if key in CHAT_ONLY:
            _hold_chat_only(builder, key, value)
            continue
        if key == "cache_control":
            if value is not None:
                builder.leave_out("", key, "")
            continue
        if key in RESERVED_KEYS:
            raise MalformedRequest(
                key, "not a parameter of Chat Completions, and it would replace a translated one"
            )
        builder.names.setdefault(key, key)
        if key == "include" and isinstance(value, list):
            for entry in value:
                builder.include(entry)
        elif key not in builder.body:
            builder.body[key] = value
        elif isinstance(made := builder.body[key], dict) and isinstance(value, dict):
            both = [name for name in value if name in made]
            inside = {
                name: _choose_value(builder, f"{key}.{name}", made[name], value[name])
                for name in both
            }
            builder.body[key] = made | value | inside
        else:
            builder.body[key] = _choose_value(builder, key, made, value)


def _choose_value(builder: RequestBuilder, path: str, made: Any, given: Any) -> Any:
    """Return the caller's Responses value if it isn't null, with an entry if it differs."""
    if given is None or (type(given) is type(made) and given == made):
        return made
    why = f"`{path}` was also given as a Responses parameter, which takes precedence"
    builder.ledger.add(builder.names.get(path, path), "changed", why)
    return given
