"""`install` and `uninstall`: existing clients of the SDK, adapted in place.

Both are atomic: a call that another thread has under way goes as the adapter would have it, or as the SDK would, and never fails for it.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any, TypeVar

import openai

from adapter.errors import AdapterError
from adapter.routing.given import Given, settings_of
from adapter.routing.live import live

from .client import adapted, configure
from .connecting import CHANGING, connect, disconnect, is_adapted

_Client = TypeVar("_Client", bound=openai.OpenAI | openai.AsyncOpenAI | ModuleType)


def install(client: _Client, settings: Given = None) -> _Client:
    """Turn an existing SDK client into an adapted one, in place, and return it.

    Its HTTP client stays what it is, with its proxies, certificates, limits and hooks. Once more with other settings
    replaces them; without settings an adapted client is left as it is. The module `openai` itself stands for its
    module-level client, as it is configured then. Raises AdapterError for what is no client of the SDK.
    """
    target = _target(client)
    with CHANGING:
        cls: Any = type(target)
        if not is_adapted(cls):
            # The class comes last, in one step: a call under way in another thread finds all or nothing.
            own = adapted(cls)
            target._adapter_settings = settings_of(settings)
            target._adapter_live = live(target._adapter_settings)
            try:
                target.__class__ = own
            except TypeError:
                _forget_settings(target)
                raise
            connect(target)
            _forget_resources(target)
        elif settings is not None:
            configure(target, settings_of(settings))
    return client


def uninstall(client: _Client) -> _Client:
    """Turn an adapted client back into what it was, in place, and return it."""
    target = _target(client)
    with CHANGING:
        cls: Any = type(target)
        if is_adapted(cls):
            target.__class__ = next(base for base in cls.__mro__ if not is_adapted(base))
            disconnect(target)
            _forget_settings(target)
            _forget_resources(target)
    return client


def _target(given: object) -> Any:
    client: object = openai._load_client() if given is openai else given  # private, in all versions
    if not isinstance(client, (openai.OpenAI, openai.AsyncOpenAI)):
        raise AdapterError(f"expected a client of the openai SDK, got {type(client).__name__}")
    return client


def _forget_settings(client: Any) -> None:
    for name in ("_adapter_settings", "_adapter_live", "_adapter_connected"):
        client.__dict__.pop(name, None)


def _forget_resources(client: Any) -> None:
    """Let the client make its resources anew: those it has hold its `post` from before."""
    for name in ("chat", "beta"):
        resource = client.__dict__.pop(name, None)
        if resource is not None and not hasattr(type(client), name):  # SDK 1.66 makes them in its constructor
            client.__dict__[name] = type(resource)(client)
