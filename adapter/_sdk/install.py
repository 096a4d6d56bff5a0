"""`install` and `uninstall`: existing clients of the SDK, adapted in place.

Both are atomic: a call that another thread is making goes as the adapter sends it or as the SDK
does, and never fails for it. Everything on a client stays there and in force: only the class of
the client, and of resources that are the SDK's own, changes
(docs/decisions.md#the-sdks-own-classes).
"""

from __future__ import annotations

from types import ModuleType
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from adapter._http.client_transports import INSTALL_LOCK, disconnect, is_adapted
from adapter._settings.coercion import SettingsLike

from .client import adapt_in_place
from .client_contents import forget_resources, forget_settings
from .proxies import client_in
from .resources import restore_resources

if TYPE_CHECKING:  # what may be installed beside clients and the module: proxies of a known kind
    import openai

    class _HasClient(Protocol):
        @property
        def client(self) -> Any: ...

    class _HasWrapped(Protocol):
        @property
        def __wrapped__(self) -> Any: ...


_Client = TypeVar(
    "_Client", bound="openai.OpenAI | openai.AsyncOpenAI | ModuleType | _HasClient | _HasWrapped"
)


def install(client: _Client, settings: SettingsLike = None) -> _Client:
    """Turn an existing SDK client into an adapted one, in place, and return it.

    Everything on it stays in force: its HTTP client with proxies, certificates, limits and hooks;
    methods and resources that were patched or replaced, and those that code holds already. Called
    again with other settings, it replaces them; without settings, an adapted client stays as it
    is. The module `openai` stands for its module-level client, as it is configured at present, and
    a known proxy for the client in it. Raise AdapterError for anything else.
    """
    adapt_in_place(client, settings)
    return client


def uninstall(client: _Client) -> _Client:
    """Turn an adapted client back into what it was, in place, and return it."""
    target = client_in(client)
    with INSTALL_LOCK:
        cls: Any = type(target)
        if is_adapted(cls):
            target.__class__ = next(base for base in cls.__mro__ if not is_adapted(base))
            disconnect(target)
            restore_resources(target)
            forget_resources(target)
            forget_settings(target)
    return client
