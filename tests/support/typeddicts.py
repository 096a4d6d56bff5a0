"""Check plain JSON against the SDK's own TypedDicts, eagerly and strictly.

The SDK types a request's lists as `Iterable`, which pydantic validates lazily, so not at all. Here
they are lists whose every element is checked.
"""

from __future__ import annotations

import collections.abc
import functools
import types
import typing
from typing import Any

import pytest
import typing_extensions
from openai.types.chat import completion_create_params as chat
from openai.types.responses import response_create_params as responses

from tests.support import service
from tests.support.shapes import (
    AnyOf,
    Anything,
    Choice,
    Later,
    ListOf,
    MapOf,
    Record,
    Scalar,
    Shape,
    problems_of,
)

_SCALARS: dict[Any, Scalar] = {
    str: Scalar("string"),
    int: Scalar("integer"),
    float: Scalar("number"),
    bool: Scalar("boolean"),
    type(None): Scalar("null"),
}
_LISTS = (list, collections.abc.Iterable, collections.abc.Sequence)
_MAPS = (dict, collections.abc.Mapping)
_MARKS = (
    typing.Required,
    typing.NotRequired,
    typing_extensions.Required,
    typing_extensions.NotRequired,
)

# By name, since the SDK generates a separate class wherever a shape is used.
_WAIVED = {
    "ResponseOutputMessageParam": service.OUTPUT_MESSAGE_WAIVED,
    "ResponseReasoningItemParam": service.REASONING_WAIVED,
}


def types_are_current() -> bool:
    """Return whether the installed SDK's types describe today's API.

    Early ones require ids that no caller needs to send.
    """
    return "prompt_cache_options" in keys_of(responses.ResponseCreateParamsNonStreaming)


def problems_of_chat_body(body: dict[str, Any]) -> list[str]:
    """List the problems of a `POST /chat/completions` body by the SDK's types; empty means none."""
    return problems_of_typed(
        chat.CompletionCreateParamsStreaming
        if body.get("stream") is True
        else chat.CompletionCreateParamsNonStreaming,
        body,
    )


def problems_of_responses_body(body: dict[str, Any]) -> list[str]:
    """List the problems of a `POST /responses` body by the SDK's types; empty means none."""
    kind = (
        responses.ResponseCreateParamsStreaming
        if body.get("stream") is True
        else responses.ResponseCreateParamsNonStreaming
    )
    return problems_of_typed(kind, body) + service.refusals(body)


def problems_of_typed(kind: Any, value: object) -> list[str]:
    """List the problems of `value` as a `kind`.

    A kind is a TypedDict or any union, list or literal of them.
    """
    return problems_of(shape_of(kind), value)


def keys_of(kind: Any) -> frozenset[str]:
    """Return all keys of a TypedDict."""
    return frozenset(typing_extensions.get_type_hints(kind, include_extras=True))


needs_current_types = pytest.mark.skipif(
    not types_are_current(), reason="the installed SDK's types are older than the API"
)


@functools.cache
def shape_of(kind: Any) -> Shape:
    """Compile a type annotation to a shape."""
    if kind in _SCALARS:
        return _SCALARS[kind]
    if kind in {Any, object}:
        return Anything()
    if typing_extensions.is_typeddict(kind):
        return Later(kind.__name__, functools.partial(_record, kind))
    origin, arguments = typing_extensions.get_origin(kind), typing_extensions.get_args(kind)
    if origin in {typing.Union, types.UnionType}:
        return AnyOf([shape_of(argument) for argument in arguments])
    if origin in {typing.Literal, typing_extensions.Literal}:
        return Choice(arguments)
    if origin in {typing.Annotated, *_MARKS}:
        return shape_of(arguments[0])
    if origin in _MAPS:
        return MapOf(shape_of(arguments[1]))
    # The SDK's own `SequenceNotStr[T]` is a Protocol, so no subclass of Sequence.
    if origin in _LISTS or getattr(origin, "__name__", "") == "SequenceNotStr":
        return ListOf(shape_of(arguments[0]))
    if kind is dict:
        return MapOf(Anything())
    msg = f"no shape for {kind!r}: teach {__name__} about it"
    raise TypeError(msg)


def _record(kind: Any) -> Record:
    hints = typing_extensions.get_type_hints(kind, include_extras=True)
    # `__required_keys__` ignores a `Required[…]` inside a string annotation, so the marks are read
    # here.
    required = frozenset(
        key
        for key, hint in hints.items()
        if _mark(hint) == "Required" or (_mark(hint) is None and key in kind.__required_keys__)
    )
    return Record(
        name=kind.__name__,
        fields={key: shape_of(hint) for key, hint in hints.items()},
        required=required - _WAIVED.get(kind.__name__, frozenset()),
    )


def _mark(hint: Any) -> str | None:
    origin = typing_extensions.get_origin(hint)
    if origin is typing.Annotated:
        return _mark(typing_extensions.get_args(hint)[0])
    if origin in _MARKS:
        return (
            "NotRequired"
            if origin in {typing.NotRequired, typing_extensions.NotRequired}
            else "Required"
        )
    return None
