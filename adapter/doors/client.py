"""The SDK's clients, adapted: the same classes, the same constructors, and `settings`."""

from __future__ import annotations

from functools import cached_property, lru_cache
from inspect import Parameter
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import WeakKeyDictionary, WeakSet

import openai

from adapter.errors import AdapterError
from adapter.routing.decide import HEADER
from adapter.routing.live import live
from adapter.routing.settings import Settings

from . import decisions
from .own_reading import BASE, SUPPORTED, Ready, read_completion, read_stream
from .remembering import token_of
from .signatures import like
from .ticket import BARE, KEY, Quiet, begin
from .wire import AsyncTransport, Transport, is_ours, unwrap, wrap

_Given = TypeVar("_Given")

_PATH = "/chat/completions"
_SETTINGS = Parameter("settings", Parameter.KEYWORD_ONLY, default=None, annotation="Settings | None")

# The clients that go through the doors of an HTTP client: the doors come off when the last one is uninstalled.
_USERS: WeakKeyDictionary[Any, WeakSet[Any]] = WeakKeyDictionary()


def _adapt(client: Any, settings: Settings | None) -> None:
    _configure(client, settings if settings is not None else Settings())
    _connect(client)


def _configure(client: Any, settings: Settings) -> None:
    client._adapter_settings, client._adapter_live = settings, live(settings)
    if SUPPORTED and "chat" in client.__dict__:
        _own_chat(client, client.chat)


def _connect(client: Any) -> None:
    """Put the doors around the client's HTTP client, once."""
    known = (id(client), client._client)  # a shallow copy has another id
    if client.__dict__.get("_adapter_connected") == known:
        return
    users = _USERS.setdefault(client._client, WeakSet())
    if client not in users:
        wrap(client._client, client._adapter_door)
        users.add(client)
    client._adapter_connected = known


def _mark(client: Any, request: Any) -> None:
    """Give a request of ours its ticket; take our header, which may stand in `default_headers`, off any other."""
    call = decisions.CALL.get()
    _connect(client)  # a shallow copy, or another HTTP client put in by hand, hasn't been seen before
    if type(call) is not Quiet and not is_ours(request):  # in a quiet call all passes, whatever it is
        request.headers.pop(HEADER, None)
        request.extensions[KEY] = BARE  # a hook of the HTTP client may put it in again
        return
    ticket = request.extensions[KEY] = call or begin(client._adapter_live)
    if type(ticket) is not Quiet:
        ticket.token = token_of(client)


def _named(client: Any, post: dict[str, Any]) -> bool:
    """Tell whether a header of a call, or of its client, names a backend."""
    for headers in (client._custom_headers, (post.get("options") or {}).get("headers")):
        for name in headers or ():
            if name.lower() == HEADER:
                return True
    return False


def _own_chat(client: Any, chat: Any) -> Any:
    """Spare a `chat` resource the SDK's transform; where nothing will ever be moved it stays what it is, and costs nothing."""
    if client._adapter_live.always_quiet:
        return chat
    from .own_messages import adopted

    return adopted(chat)


def _with_own_chat(cls: Any) -> Any:
    """Give a class a `chat` resource of ours; made when it is asked for, as the SDK's is."""
    if SUPPORTED:

        def chat(client: Any) -> Any:
            return _own_chat(client, super(cls, client).chat)

        cls.chat = cached_property(chat)
        cls.chat.__set_name__(cls, "chat")
    return cls


def _with_own_reading(own: Any, cls: Any) -> Any:
    """Give a class its own way to read replies; `cls` is what it was made of."""

    @like(cls._process_response_data)
    def process(self: Any, *, data: Any, cast_to: Any, response: Any) -> Any:
        made = read_completion(self, cls, cast_to, response)
        if made is not None:
            return made
        return super(own, self)._process_response_data(data=data, cast_to=cast_to, response=response)

    own._process_response_data = process
    setattr(own.post, BASE, cls)
    return own


def _unwrap(post: dict[str, Any]) -> None:
    messages = post["body"].get("messages") if type(post.get("body")) is dict else None
    if type(messages) is Ready:
        post["body"] = {**post["body"], "messages": messages.messages}


def _copy(copy: Any, client: Any, settings: Settings | None, extra: Any, kwargs: dict[str, Any]) -> Any:
    return copy(_extra_kwargs={"settings": settings or client._adapter_settings, **(extra or {})}, **kwargs)


# The adapted form of a client class is made as its only child: `install` changes the class of a living object, which CPython allows
# where the new class grew from the old one alone. So there are functions here where there would be mixins.


def _sync(cls: Any) -> Any:
    class Adapted(cls):  # type: ignore[misc]  # a base that is known at run time
        _adapter_door = Transport

        def __init__(self, *args: Any, settings: Settings | None = None, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            _adapt(self, settings)

        @like(cls.copy, _SETTINGS)
        def copy(self, *, settings: Settings | None = None, _extra_kwargs: Any = None, **kwargs: Any) -> Any:
            return _copy(super().copy, self, settings, _extra_kwargs, kwargs)

        with_options = copy

        @like(cls.post)
        def post(self, path: str, **kwargs: Any) -> Any:
            _unwrap(kwargs)
            if not hasattr(self, "_adapter_door"):  # uninstalled, and called through a resource from before
                return self.post(path, **kwargs)
            if path != _PATH:
                return super().post(path, **kwargs)
            ticket = begin(self._adapter_live, by_client=True, named=_named(self, kwargs))
            call = decisions.CALL.set(ticket)
            try:
                return decisions.remember(super().post(path, **kwargs), ticket.journal)
            except BaseException as error:
                decisions.failed(ticket, error)
                raise
            finally:
                decisions.CALL.reset(call)

        @like(cls._prepare_request)
        def _prepare_request(self, request: Any) -> None:
            super()._prepare_request(request)
            _mark(self, request)

        @like(cls._process_response)
        def _process_response(self, **kwargs: Any) -> Any:
            return read_stream(self, cls, Adapted, super()._process_response(**kwargs))

    return _with_own_chat(_with_own_reading(Adapted, cls))


def _async(cls: Any) -> Any:
    class Adapted(cls):  # type: ignore[misc]  # a base that is known at run time
        _adapter_door = AsyncTransport

        def __init__(self, *args: Any, settings: Settings | None = None, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            _adapt(self, settings)

        @like(cls.copy, _SETTINGS)
        def copy(self, *, settings: Settings | None = None, _extra_kwargs: Any = None, **kwargs: Any) -> Any:
            return _copy(super().copy, self, settings, _extra_kwargs, kwargs)

        with_options = copy

        @like(cls.post)
        async def post(self, path: str, **kwargs: Any) -> Any:
            _unwrap(kwargs)
            if not hasattr(self, "_adapter_door"):  # uninstalled, and called through a resource from before
                return await self.post(path, **kwargs)
            if path != _PATH:
                return await super().post(path, **kwargs)
            ticket = begin(self._adapter_live, by_client=True, named=_named(self, kwargs))
            call = decisions.CALL.set(ticket)
            try:
                return decisions.remember(await super().post(path, **kwargs), ticket.journal)
            except BaseException as error:
                decisions.failed(ticket, error)
                raise
            finally:
                decisions.CALL.reset(call)

        @like(cls._prepare_request)
        async def _prepare_request(self, request: Any) -> None:
            await super()._prepare_request(request)
            _mark(self, request)

        @like(cls._process_response)
        async def _process_response(self, **kwargs: Any) -> Any:
            return read_stream(self, cls, Adapted, await super()._process_response(**kwargs))

    return _with_own_chat(_with_own_reading(Adapted, cls))


if TYPE_CHECKING:  # the SDK's own signatures stay in force

    class _Settings:
        def __init__(self, *, settings: Settings | None = None, **kwargs: Any) -> None: ...

    class _OpenAI(_Settings, openai.OpenAI): ...

    class _AsyncOpenAI(_Settings, openai.AsyncOpenAI): ...

    class _AzureOpenAI(_Settings, openai.AzureOpenAI): ...

    class _AsyncAzureOpenAI(_Settings, openai.AsyncAzureOpenAI): ...

else:
    _OpenAI = _sync(openai.OpenAI)
    _AsyncOpenAI = _async(openai.AsyncOpenAI)
    _AzureOpenAI = _sync(openai.AzureOpenAI)
    _AsyncAzureOpenAI = _async(openai.AsyncAzureOpenAI)


class OpenAI(_OpenAI):
    """The SDK's client, whose Chat Completions calls go where the settings say.

    Takes every argument of `openai.OpenAI`, and `settings` (default: read from the environment).
    """


class AsyncOpenAI(_AsyncOpenAI):
    """The SDK's async client, whose Chat Completions calls go where the settings say. See OpenAI."""


class AzureOpenAI(_AzureOpenAI):
    """The SDK's client for Azure, whose Chat Completions calls go where the settings say. See OpenAI.

    Deployments become the request's model, and an `api-version` from before the Responses API is raised, with an entry
    in the ledger.
    """


class AsyncAzureOpenAI(_AsyncAzureOpenAI):
    """The SDK's async client for Azure, whose Chat Completions calls go where the settings say. See AzureOpenAI."""


_OURS: dict[type, type] = {
    openai.OpenAI: OpenAI,
    openai.AsyncOpenAI: AsyncOpenAI,
    openai.AzureOpenAI: AzureOpenAI,
    openai.AsyncAzureOpenAI: AsyncAzureOpenAI,
}


@lru_cache(maxsize=64)
def _adapted(cls: Any) -> Any:
    """Return the adapted form of a client class; a subclass of the SDK's keeps everything of its own."""
    if cls in _OURS:
        return _OURS[cls]
    made = (_async if issubclass(cls, openai.AsyncOpenAI) else _sync)(cls)
    made.__name__, made.__qualname__, made.__module__, made.__doc__ = (
        cls.__name__, cls.__qualname__, cls.__module__, cls.__doc__,
    )  # fmt: skip
    return made


def _is_adapted(cls: type) -> bool:
    return hasattr(cls, "_adapter_door")


def install(client: _Given, settings: Settings | None = None) -> _Given:
    """Turn an existing SDK client into an adapted one, in place, and return it.

    Its HTTP client stays what it is, with its proxies, certificates, limits and hooks. Once more with other settings
    replaces them; without settings an adapted client is left as it is. The module `openai` itself stands for its
    module-level client, as it is configured then. Raises AdapterError for what is no client of the SDK.
    """
    target = _target(client)
    if not _is_adapted(type(target)):
        cls: Any = type(target)
        target.__class__ = _adapted(cls)
        _adapt(target, settings)
        _forget_resources(target)
    elif settings is not None:
        _configure(target, settings)
    return client


def uninstall(client: _Given) -> _Given:
    """Turn an adapted client back into what it was, in place, and return it."""
    target = _target(client)
    cls: Any = type(target)
    if _is_adapted(cls):
        users = _USERS.get(target._client, WeakSet())
        users.discard(target)
        if not users:
            unwrap(target._client)
        target.__class__ = next(base for base in cls.__mro__ if not _is_adapted(base))
        del target._adapter_settings, target._adapter_live, target._adapter_connected
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
