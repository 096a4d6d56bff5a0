"""The client door's results: a translated reply becomes a ChatCompletion by Pydantic's validation where that gives an equal object.

It does where the JSON validates strictly (nothing is coerced) and holds no field that the SDK's types don't know: Pydantic counts those
among the fields that were set, the SDK's own construction doesn't. Everything else, and every reply of Chat Completions itself, is
constructed as the SDK does it.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import pydantic
from openai.types.chat import ChatCompletion

from adapter._runtime.call_context import context_of


@cache
def _validator() -> Any:
    ChatCompletion.model_rebuild()  # the SDK's models are made complete when they are first used
    return ChatCompletion.__pydantic_validator__


_SCALARS = frozenset({str, int, float, bool, type(None)})


def _has_extras(model: pydantic.BaseModel) -> bool:
    """Tell whether a model, or one inside it, has fields that its class doesn't know."""
    if model.__pydantic_extra__:
        return True
    for value in model.__dict__.values():
        if type(value) in _SCALARS:
            continue
        for one in value if isinstance(value, list) else (value,):
            if isinstance(one, pydantic.BaseModel) and _has_extras(one):
                return True
    return False


def validated_completion(response: Any) -> ChatCompletion | None:
    """Make the completion that a translated reply holds; None where the SDK is to do it."""
    context = context_of(response.request)
    if context is None or context.state.backend != "responses":
        return None
    try:
        made: ChatCompletion = _validator().validate_json(response.content, strict=True)
    except ValueError:  # Pydantic's own is one
        return None
    return None if _has_extras(made) else made
