"""Translated replies as ChatCompletions, built by Pydantic's validation where that is equal.

It is where the JSON validates strictly (nothing is coerced) and has no field that the SDK's types
don't know: Pydantic counts those among the fields that were set, and the SDK's own construction
doesn't. Every other reply, and all of Chat's own, the SDK constructs
(docs/performance.md#chunks-and-results).
"""

from __future__ import annotations

from functools import cache
from typing import Any

import pydantic
from openai.types.chat import ChatCompletion

from adapter._runtime.call_context import context_of


@cache
def _validator() -> Any:
    ChatCompletion.model_rebuild()  # the SDK's models are completed on first use
    return ChatCompletion.__pydantic_validator__


_SCALARS = frozenset({str, int, float, bool, type(None)})


def _has_extras(model: pydantic.BaseModel) -> bool:
    """Return whether a model, or one inside it, has fields that its class doesn't know."""
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
    """Build the completion that a translated reply holds; None if the SDK is to build it."""
    context = context_of(response.request)
    if context is None or context.state.backend != "responses":
        return None
    try:
        made: ChatCompletion = _validator().validate_json(response.content, strict=True)
    except ValueError:  # Pydantic's errors are ValueErrors
        return None
    return None if _has_extras(made) else made
