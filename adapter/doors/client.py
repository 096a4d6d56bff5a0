"""The SDK's clients, adapted: the same classes, the same constructors, and `settings`."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, Generic, TypeVar
from weakref import WeakKeyDictionary, WeakSet

import openai

from adapter.errors import AdapterError
from adapter.routing.decide import HEADER
from adapter.routing.settings import Settings

from . import decisions
from .ticket import KEY, Ticket
from .wire import AsyncTransport, Transport, is_ours, unwrap, wrap

_Client = TypeVar("_Client", bound="openai.OpenAI | openai.AsyncOpenAI")
_Given = TypeVar("_Given")

_PATH = "/chat/completions"

# The clients that go through the doors of an HTTP client: the doors come off when the last one is uninstalled.
_USERS: WeakKeyDictionary[Any, WeakSet[Any]] = WeakKeyDictionary()


class _Adapted(Generic[_Client]):
    """What the sync and the async client have in common.

    Generic like the SDK's own base classes: CPython 3.11 lets an object change its class (`install`) only where both
    classes grew from the same base, and theirs is `Generic`.
    """

    _adapter_settings: Settings

    def __init__(self, *, settings: Settings | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._adapt(settings)

    def _adapt(self, settings: Settings | None) -> None:
        self._adapter_settings = settings if settings is not None else Settings()
        http_client = self._client  # type: ignore[attr-defined]  # the SDK's own, or the caller's
        wrap(http_client, self._door)
        _USERS.setdefault(http_client, WeakSet()).add(self)

    _door: Any

    def _ticket(self) -> Ticket:
        return Ticket(self._adapter_settings)

    def _mark(self, request: Any) -> None:
        """Give a request of ours its ticket; take our header, which may stand in `default_headers`, off any other."""
        if is_ours(request):
            request.extensions[KEY] = decisions.followed() or self._ticket()
        else:
            request.headers.pop(HEADER, None)

    if not TYPE_CHECKING:  # the SDK's own signatures stay in force

        def copy(self, *, settings: Settings | None = None, _extra_kwargs: Any = None, **kwargs: Any) -> Any:
            """Create a client with other options, like the SDK's `copy`; the settings stay unless others are given."""
            extra = {"settings": settings or self._adapter_settings, **(_extra_kwargs or {})}
            return super().copy(_extra_kwargs=extra, **kwargs)

        with_options = copy


class _Sync(_Adapted[openai.OpenAI]):
    _door = Transport

    if not TYPE_CHECKING:

        def post(self, path: str, **kwargs: Any) -> Any:
            if not isinstance(self, _Sync):  # uninstalled, and called through a resource that was held since before
                return self.post(path, **kwargs)
            if path != _PATH:
                return super().post(path, **kwargs)
            with decisions.following(self._ticket()) as ticket:
                return decisions.remember(super().post(path, **kwargs), ticket.journal)

        def _prepare_request(self, request: Any) -> None:
            super()._prepare_request(request)
            self._mark(request)


class _Async(_Adapted[openai.AsyncOpenAI]):
    _door = AsyncTransport

    if not TYPE_CHECKING:

        async def post(self, path: str, **kwargs: Any) -> Any:
            if not isinstance(self, _Async):  # uninstalled, and called through a resource that was held since before
                return await self.post(path, **kwargs)
            if path != _PATH:
                return await super().post(path, **kwargs)
            with decisions.following(self._ticket()) as ticket:
                return decisions.remember(await super().post(path, **kwargs), ticket.journal)

        async def _prepare_request(self, request: Any) -> None:
            await super()._prepare_request(request)
            self._mark(request)


class OpenAI(_Sync, openai.OpenAI):
    """The SDK's client, whose Chat Completions calls go where the settings say.

    Takes every argument of `openai.OpenAI`, and `settings` (default: read from the environment).
    """


class AsyncOpenAI(_Async, openai.AsyncOpenAI):
    """The SDK's async client, whose Chat Completions calls go where the settings say. See OpenAI."""


class AzureOpenAI(_Sync, openai.AzureOpenAI):
    """The SDK's client for Azure, whose Chat Completions calls go where the settings say. See OpenAI.

    Deployments become the request's model, and an `api-version` from before the Responses API is raised, with an entry
    in the ledger.
    """


class AsyncAzureOpenAI(_Async, openai.AsyncAzureOpenAI):
    """The SDK's async client for Azure, whose Chat Completions calls go where the settings say. See AzureOpenAI."""


_OURS: dict[type, type] = {
    openai.OpenAI: OpenAI,
    openai.AsyncOpenAI: AsyncOpenAI,
    openai.AzureOpenAI: AzureOpenAI,
    openai.AsyncAzureOpenAI: AsyncAzureOpenAI,
}


@lru_cache(maxsize=64)
def _adapted(cls: type) -> type:
    """Make the adapted form of a client class; a subclass of the SDK's keeps everything of its own."""
    if cls in _OURS:
        return _OURS[cls]
    base = _Async if issubclass(cls, openai.AsyncOpenAI) else _Sync
    return type(cls.__name__, (base, cls), {"__module__": cls.__module__, "__doc__": cls.__doc__})


def install(client: _Given, settings: Settings | None = None) -> _Given:
    """Turn an existing SDK client into an adapted one, in place, and return it.

    Its HTTP client stays what it is, with its proxies, certificates, limits and hooks. Once more with other settings
    replaces them; without settings an adapted client is left as it is. The module `openai` itself stands for its
    module-level client, as it is configured then. Raises AdapterError for what is no client of the SDK.
    """
    target = _target(client)
    cls: Any = type(target)
    if not issubclass(cls, _Adapted):
        target.__class__ = _adapted(cls)
        target._adapt(settings)
        _forget_resources(target)
    elif settings is not None:
        target._adapter_settings = settings
    return client


def uninstall(client: _Given) -> _Given:
    """Turn an adapted client back into what it was, in place, and return it."""
    target = _target(client)
    cls: Any = type(target)
    if issubclass(cls, _Adapted):
        users = _USERS.get(target._client, WeakSet())
        users.discard(target)
        if not users:
            unwrap(target._client)
        target.__class__ = next(base for base in cls.__mro__ if not issubclass(base, _Adapted))
        del target._adapter_settings
        _forget_resources(target)
    return client


def _target(given: object) -> Any:
    client: object = openai._load_client() if given is openai else given  # private, in all versions
    if not isinstance(client, (openai.OpenAI, openai.AsyncOpenAI)):
        raise AdapterError(f"expected a client of the openai SDK, got {type(client).__name__}")
    return client


def _forget_resources(client: Any) -> None:
    """Let the client make its resources anew: those it has hold its `post` from before."""
    for name in ("chat", "beta"):
        resource = client.__dict__.pop(name, None)
        if resource is not None and not hasattr(type(client), name):  # SDK 1.66 makes them in its constructor
            client.__dict__[name] = type(resource)(client)
