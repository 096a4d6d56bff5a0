"""The SDK's clients, adapted: the same classes, the same constructors, and `settings`."""

from __future__ import annotations

from functools import cached_property, lru_cache
from inspect import Parameter
from typing import TYPE_CHECKING, Any

import openai
from openai.types.chat import ChatCompletion

from adapter.routing.decide import HEADER
from adapter.routing.given import Given, settings_of
from adapter.routing.live import live
from adapter.routing.settings import Settings

from . import decisions
from .connecting import CHANGING, connect
from .families import family_of
from .internal_errors import failing, raises
from .own_reading import BASE, SUPPORTED, Ready, read_completion, read_stream
from .sdk_errors import retaken
from .signatures import like
from .ticket import BARE, KEY, Quiet, begin
from .tokens import exchanged, with_tokens
from .wire import AsyncTransport, Transport, is_ours

_PATH = "/chat/completions"
_SETTINGS = Parameter(
    "settings", Parameter.KEYWORD_ONLY, default=None, annotation="Settings | Mapping[str, Any] | None"
)


def _adapt(client: Any, settings: Given) -> None:
    configure(client, settings_of(settings))
    connect(client)


def configure(client: Any, settings: Settings) -> None:
    """Put settings in force for a client."""
    client._adapter_settings, client._adapter_live = settings, live(settings)
    if SUPPORTED and "chat" in client.__dict__:
        _own_chat(client, client.chat)


def _mark(client: Any, request: Any) -> None:
    """Give a request of ours its ticket; take our header, which may stand in `default_headers`, off any other."""
    call = decisions.CALL.get()
    live = client.__dict__.get("_adapter_live")
    connect(client)  # a shallow copy, or another HTTP client put in by hand, hasn't been seen before
    if type(call) is not Quiet and not is_ours(request):  # in a quiet call all passes, whatever it is
        request.headers.pop(HEADER, None)
        request.extensions[KEY] = BARE  # a hook of the HTTP client may put it in again
        return
    if live is None and call is None:  # uninstalled meanwhile
        return
    ticket = request.extensions[KEY] = call or begin(live)
    if type(ticket) is not Quiet:
        ticket.token = ticket.token or exchanged(client)
        _as_at_first(request, ticket)


def _unmarked(client: Any, request: Any, bug: Exception) -> None:
    """Let a request go as it came, to which the adapter failed to give its ticket. Raises the bug where anything has been sent before."""
    call, live = decisions.CALL.get(), client.__dict__.get("_adapter_live")
    if call is not None and call.sent:
        raise bug
    failed = failing(live.router if call is None else call.router, bug, by_client=call is not None)
    request.headers.pop(HEADER, None)
    if failed is None:
        request.extensions[KEY] = BARE
    elif call is None or type(call) is Quiet:
        request.extensions[KEY] = failed
    else:  # the client's own record of the call
        call.journal, request.extensions[KEY] = failed.journal, call


def _as_at_first(request: Any, ticket: Any) -> None:
    """Let a call that is tried again send what it sent at first, though the caller has changed what it gave since.

    A call that goes to Chat Completions sends what the SDK sends.
    """
    body = request.__dict__.get("_content")
    if ticket.body is None:
        ticket.body = body
    elif body is not None and body != ticket.body and ticket.journal.choice.backend == "responses":
        family = family_of(request)
        request._content, request.stream = ticket.body, family.ByteStream(ticket.body)
        request.headers["Content-Length"] = str(len(ticket.body))


def _named(client: Any, post: dict[str, Any]) -> bool:
    """Tell whether a header of a call, or of its client, names a backend."""
    for headers in (client._custom_headers, (post.get("options") or {}).get("headers")):
        for name in headers or ():
            if name.lower() == HEADER:
                return True
    return False


def _own_chat(client: Any, chat: Any) -> Any:
    """Spare a `chat` resource the SDK's transform; where nothing will ever be moved it stays what it is, and costs nothing."""
    live = client.__dict__.get("_adapter_live")
    if live is None or live.always_quiet:
        return chat
    from .own_messages import adopted

    return adopted(chat)


def _with_own_chat(cls: Any) -> Any:
    """Give a class a `chat` resource of ours; made when it is asked for, as the SDK's is."""
    if SUPPORTED:

        def chat(client: Any) -> Any:
            made = super(cls, client).chat if isinstance(client, cls) else type(client).chat.func(client)
            try:
                return _own_chat(client, made)
            except Exception as bug:  # noqa: BLE001  # the SDK's own does the same
                failing(client._adapter_live.router, bug)
                return made

        cls.chat = cached_property(chat)
        cls.chat.__set_name__(cls, "chat")
    return cls


def _with_own_reading(own: Any, cls: Any) -> Any:
    """Give a class its own way to read replies; `cls` is what it was made of."""

    @like(cls._process_response_data)
    def process(self: Any, *, data: Any, cast_to: Any, response: Any) -> Any:
        made = None
        try:
            native = super(own, self)._process_response_data
        except TypeError:  # uninstalled meanwhile
            native = self._process_response_data
        else:
            if cast_to is ChatCompletion:  # and not each chunk of a stream
                try:
                    made = read_completion(self, cls, response)
                except Exception:  # the SDK makes the same
                    if raises(self):
                        raise
        return native(data=data, cast_to=cast_to, response=response) if made is None else made

    own._process_response_data = process
    setattr(own.post, BASE, cls)
    return own


def _unwrap(post: dict[str, Any]) -> None:
    messages = post["body"].get("messages") if type(post.get("body")) is dict else None
    if type(messages) is Ready:
        post["body"] = {**post["body"], "messages": messages.messages}


def _copy(cls: Any, client: Any, settings: Given, extra: Any, kwargs: dict[str, Any]) -> Any:
    with CHANGING:  # the SDK's `copy` asks the client for its class
        if not isinstance(client, cls):  # uninstalled meanwhile
            return client.copy(_extra_kwargs=extra or {}, **kwargs)
        given = {"settings": client._adapter_settings if settings is None else settings, **(extra or {})}
        return super(cls, client).copy(_extra_kwargs=given, **kwargs)


def _failing(live: Any, post: dict[str, Any], bug: Exception) -> Any:
    """Return the ticket of a call on which the adapter failed before it had one, and let the SDK have what it was given."""
    body = post.get("body")
    messages = body.get("messages") if type(body) is dict else None
    if type(messages) is Ready:
        post["body"] = {**body, "messages": messages.messages}  # type: ignore[dict-item]  # it is a dict
    return None if live is None else failing(live.router, bug, by_client=True)


def _after(ticket: Any, error: BaseException) -> Any:
    """Tell of an exception that leaves a call; return a ticket to make the call anew with, or what is raised."""
    again = retaken(ticket, error)
    if again is None or isinstance(again, Exception):
        decisions.failed(ticket, again or error)
    return error if again is None else again


# The adapted form of a client class is made as its only child: `install` changes the class of a living object, which CPython allows
# where the new class grew from the old one alone. So there are functions here where there would be mixins.


def _sync(cls: Any) -> Any:  # noqa: C901  # a class
    class Adapted(cls):  # type: ignore[misc]  # a base that is known at run time
        _adapter_door = Transport

        @like(cls.__init__, _SETTINGS)
        def __init__(self, *args: Any, settings: Given = None, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            _adapt(self, settings)

        @like(cls.copy, _SETTINGS)
        def copy(self, *, settings: Given = None, _extra_kwargs: Any = None, **kwargs: Any) -> Any:
            return _copy(Adapted, self, settings, _extra_kwargs, kwargs)

        with_options = copy

        @like(cls.post)
        def post(self, path: str, **kwargs: Any) -> Any:
            live, ticket = self.__dict__.get("_adapter_live"), None
            try:
                native = super().post
            except TypeError:  # uninstalled, and called through a resource from before
                native, live = self.post, None
            try:
                _unwrap(kwargs)
                if live is not None and path == _PATH:
                    ticket = begin(live, by_client=True, named=_named(self, kwargs))
            except Exception as bug:  # noqa: BLE001  # raised there, where that is wanted
                ticket = _failing(live, kwargs, bug)
            if ticket is None:
                return native(path, **kwargs)
            call, result = decisions.CALL.set(ticket), None
            try:
                while True:
                    try:
                        result = native(path, **kwargs)
                        break
                    except BaseException as error:
                        again: Any = error
                        try:
                            again = _after(ticket, error)
                        except Exception:  # what the caller gets is worth more than what is known of it
                            if ticket.router.settings.on_bug == "raise":
                                raise
                        if again is error:
                            raise
                        if isinstance(again, Exception):
                            raise again from error
                        ticket = again
                        decisions.CALL.set(ticket)
            finally:
                decisions.CALL.reset(call)
            try:
                decisions.remember(result, ticket.journal)
            except Exception:  # a call is not lost for what is known of it
                if ticket.router.settings.on_bug == "raise":
                    raise
            return result

        @like(cls._prepare_request)
        def _prepare_request(self, request: Any) -> None:
            try:
                native = super()._prepare_request
            except TypeError:  # uninstalled meanwhile
                native = self._prepare_request
            native(request)
            try:
                _mark(self, request)
            except Exception as bug:  # noqa: BLE001  # raised there, where that is wanted
                _unmarked(self, request, bug)

        @like(cls._process_response)
        def _process_response(self, **kwargs: Any) -> Any:
            try:
                native = super()._process_response
            except TypeError:  # uninstalled meanwhile
                return self._process_response(**kwargs)
            made = native(**kwargs)
            try:
                read_stream(self, cls, Adapted, made)
            except Exception:  # the SDK reads it itself
                if raises(self):
                    raise
            return made

    return with_tokens(_with_own_chat(_with_own_reading(Adapted, cls)), cls)


def _async(cls: Any) -> Any:  # noqa: C901  # a class
    class Adapted(cls):  # type: ignore[misc]  # a base that is known at run time
        _adapter_door = AsyncTransport

        @like(cls.__init__, _SETTINGS)
        def __init__(self, *args: Any, settings: Given = None, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            _adapt(self, settings)

        @like(cls.copy, _SETTINGS)
        def copy(self, *, settings: Given = None, _extra_kwargs: Any = None, **kwargs: Any) -> Any:
            return _copy(Adapted, self, settings, _extra_kwargs, kwargs)

        with_options = copy

        @like(cls.post)
        async def post(self, path: str, **kwargs: Any) -> Any:
            live, ticket = self.__dict__.get("_adapter_live"), None
            try:
                native = super().post
            except TypeError:  # uninstalled, and called through a resource from before
                native, live = self.post, None
            try:
                _unwrap(kwargs)
                if live is not None and path == _PATH:
                    ticket = begin(live, by_client=True, named=_named(self, kwargs))
            except Exception as bug:  # noqa: BLE001  # raised there, where that is wanted
                ticket = _failing(live, kwargs, bug)
            if ticket is None:
                return await native(path, **kwargs)
            call, result = decisions.CALL.set(ticket), None
            try:
                while True:
                    try:
                        result = await native(path, **kwargs)
                        break
                    except BaseException as error:
                        again: Any = error
                        try:
                            again = _after(ticket, error)
                        except Exception:  # what the caller gets is worth more than what is known of it
                            if ticket.router.settings.on_bug == "raise":
                                raise
                        if again is error:
                            raise
                        if isinstance(again, Exception):
                            raise again from error
                        ticket = again
                        decisions.CALL.set(ticket)
            finally:
                decisions.CALL.reset(call)
            try:
                decisions.remember(result, ticket.journal)
            except Exception:  # a call is not lost for what is known of it
                if ticket.router.settings.on_bug == "raise":
                    raise
            return result

        @like(cls._prepare_request)
        async def _prepare_request(self, request: Any) -> None:
            try:
                native = super()._prepare_request
            except TypeError:  # uninstalled meanwhile
                native = self._prepare_request
            await native(request)
            try:
                _mark(self, request)
            except Exception as bug:  # noqa: BLE001  # raised there, where that is wanted
                _unmarked(self, request, bug)

        @like(cls._process_response)
        async def _process_response(self, **kwargs: Any) -> Any:
            try:
                native = super()._process_response
            except TypeError:  # uninstalled meanwhile
                return await self._process_response(**kwargs)
            made = await native(**kwargs)
            try:
                read_stream(self, cls, Adapted, made)
            except Exception:  # the SDK reads it itself
                if raises(self):
                    raise
            return made

    return with_tokens(_with_own_chat(_with_own_reading(Adapted, cls)), cls)


if TYPE_CHECKING:  # the SDK's own signatures stay in force
    from .constructors import AsyncAzureOpenAI as _AsyncAzureOpenAI
    from .constructors import AsyncOpenAI as _AsyncOpenAI
    from .constructors import AzureOpenAI as _AzureOpenAI
    from .constructors import OpenAI as _OpenAI
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
def adapted(cls: Any) -> Any:
    """Return the adapted form of a client class; a subclass of the SDK's keeps everything of its own."""
    if cls in _OURS:
        return _OURS[cls]
    made = (_async if issubclass(cls, openai.AsyncOpenAI) else _sync)(cls)
    made.__name__, made.__qualname__, made.__module__, made.__doc__ = (
        cls.__name__, cls.__qualname__, cls.__module__, cls.__doc__,
    )  # fmt: skip
    return made
