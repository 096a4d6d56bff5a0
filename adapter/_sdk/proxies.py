"""Finding the SDK's client in what users hand to `install`."""

from __future__ import annotations

from typing import Any

import openai

from adapter.errors import AdapterError

from .compat import module_client

_PROXIES = {
    ("braintrust", "NamedWrapper"): "_NamedWrapper__wrapped",
    ("instructor", "Instructor"): "client",
    ("lazy_object_proxy", "Proxy"): "__wrapped__",
    ("wrapt", "BaseObjectProxy"): "__wrapped__",
    ("wrapt", "ObjectProxy"): "__wrapped__",
}
"""Proxies that stand around a client: package and class, and the attribute with the client."""


def client_in(given: object) -> Any:
    """Return the client itself, that of the module `openai`, or the one in a known proxy.

    Raise AdapterError if there is none.
    """
    client: object = module_client() if given is openai else given
    seen: list[object] = []
    while not issubclass(type(client), (openai.OpenAI, openai.AsyncOpenAI)):
        inside = _wrapped_client(client)
        if inside is None or any(inside is one for one in seen):
            raise AdapterError(
                f"expected a client of the openai SDK, got {_describe(client)}. "
                "If it stands around a client, install the client first, and then put it around: "
                "wrap(adapter.install(client))."
            )
        seen.append(client)
        client = inside
    return client


def _describe(given: object) -> str:
    return f"the class {given.__name__}" if isinstance(given, type) else type(given).__name__


def _wrapped_client(client: object) -> object:
    """Return what a known proxy stands around; None for anything else."""
    for cls in type(client).__mro__:
        attribute = _PROXIES.get((cls.__module__.partition(".")[0], cls.__name__))
        if attribute is not None:
            return getattr(client, attribute, None)
    return None
