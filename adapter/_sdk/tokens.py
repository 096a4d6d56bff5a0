"""Tokens that a client fetches for its calls: of those alone it is known that they come from its own provider."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from inspect import iscoroutinefunction
from typing import Any

from adapter._http.memory_scope import Token
from adapter._runtime import decisions
from adapter._runtime.call_context import EXTERNAL_ERROR, SharedCallContext
from adapter._runtime.internal_errors import raises_bugs

from .signatures import with_signature_of

_TOKEN_METHODS: dict[str, Callable[[dict[str, Any]], bool]] = {
    "_refresh_api_key": lambda has: has.get("_api_key_provider") is not None,
    "_get_azure_ad_token": lambda has: has.get("_azure_ad_token") is None,
}
"""The SDK's methods that return a token, and when it is one that was fetched, by the client's attributes; private, in all versions
that have such tokens."""


def with_tokens(adapted_class: Any, cls: Any) -> Any:
    """Let a client class note the tokens that it fetches; `cls` is what it was made of."""
    for name in _TOKEN_METHODS:
        native = getattr(cls, name, None)
        if native is not None:
            setattr(
                adapted_class,
                name,
                (_async if iscoroutinefunction(native) else _sync)(adapted_class, name, native),
            )
    return adapted_class


# What a client calls for its token fails as the SDK's own does, and in nothing else: see client.py for its form.


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
            with suppress(Exception):  # of a kind that takes no attributes
                setattr(error, EXTERNAL_ERROR, True)  # it is the provider's
            raise
        try:
            _remember_token(self, name, token)
        except Exception:  # the whole token counts
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
            with suppress(Exception):  # of a kind that takes no attributes
                setattr(error, EXTERNAL_ERROR, True)  # it is the provider's
            raise
        try:
            _remember_token(self, name, token)
        except Exception:  # the whole token counts
            if raises_bugs(self):
                raise
        return token

    return fetch


def _remember_token(client: Any, name: str, token: Any) -> None:
    """Note a token for the call that is being made here."""
    context = decisions.current_context(client)
    if context is not None and type(context) is not SharedCallContext and isinstance(token, str):
        context.token = token if _TOKEN_METHODS[name](client.__dict__) else None


def workload_token(client: Any) -> Token | None:
    """Return what returns the token that a client has got for its workload's identity; None for other clients.

    The SDK puts it in when the request is on its way already.
    """
    auth = client.__dict__.get("_workload_identity_auth")  # private, since 2.30
    return None if auth is None else lambda: getattr(auth, "_cached_token", None)
