"""Tokens that a client fetches for its calls: only of these it is known who issued them."""

from __future__ import annotations

from contextlib import suppress
from inspect import iscoroutinefunction
from typing import Any

from adapter._runtime.call_context import EXTERNAL_ERROR, OffCallContext
from adapter._runtime.internal_errors import raises_bugs

from . import decisions
from .compat import TOKEN_METHODS
from .signatures import with_signature_of


def with_tokens(adapted_class: Any, cls: Any) -> Any:
    """Let a client class remember the tokens that it fetches; `cls` is its base."""
    for name in TOKEN_METHODS:
        native = getattr(cls, name, None)
        if native is not None:
            setattr(
                adapted_class,
                name,
                (_async if iscoroutinefunction(native) else _sync)(adapted_class, name, native),
            )
    return adapted_class


# Functions, and no mixins: see client.py. They raise only what the SDK's methods raise.


def _sync(adapted_class: Any, name: str, native: Any) -> Any:
    @with_signature_of(native)
    def fetch(self: Any) -> Any:
        try:
            fetched = getattr(super(adapted_class, self), name)
        except TypeError:  # uninstalled meanwhile
            fetched = getattr(self, name)
        try:
            token = fetched()
        except Exception as error:
            with suppress(Exception):  # not every exception takes attributes
                setattr(error, EXTERNAL_ERROR, True)  # it is the provider's
            raise
        try:
            _remember_token(self, name, token)
        except Exception:  # then the whole token counts
            if raises_bugs(self):
                raise
        return token

    return fetch


def _async(adapted_class: Any, name: str, native: Any) -> Any:
    @with_signature_of(native)
    async def fetch(self: Any) -> Any:
        try:
            fetched = getattr(super(adapted_class, self), name)
        except TypeError:  # uninstalled meanwhile
            fetched = getattr(self, name)
        try:
            token = await fetched()
        except Exception as error:
            with suppress(Exception):  # not every exception takes attributes
                setattr(error, EXTERNAL_ERROR, True)  # it is the provider's
            raise
        try:
            _remember_token(self, name, token)
        except Exception:  # then the whole token counts
            if raises_bugs(self):
                raise
        return token

    return fetch


def _remember_token(client: Any, name: str, token: Any) -> None:
    """Keep a token in the context of the call that the client is making."""
    context = decisions.current_context(client)
    if context is not None and type(context) is not OffCallContext and isinstance(token, str):
        context.token = token if TOKEN_METHODS[name](client.__dict__) else None
