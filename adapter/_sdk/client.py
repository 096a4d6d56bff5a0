"""The SDK's clients, adapted: the same classes, the same constructors, and `settings`."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import openai

from adapter._http.client_transports import INSTALL_LOCK, connect, is_adapted
from adapter._http.transport import AsyncTransport, Transport
from adapter._routing.reload import reloader_of
from adapter._settings.coercion import SettingsLike, settings_of

from . import decisions
from .client_contents import contents_of, forget_settings
from .client_methods import (
    SETTINGS,
    attach_or_mark,
    begin_call,
    configure,
    copy_client,
    finish_reply,
    initialize,
    native_method,
    next_attempt,
    remember_result,
    with_call_contexts,
    with_chat_resource,
    with_fast_replies,
)
from .compat import SUPPORTED
from .proxies import client_in
from .resources import use_fast_resource
from .signatures import with_signature_of
from .tokens import with_tokens

# The adapted form of a client class is its only child: `install` changes the class of a living
# object, which CPython allows only where the new class adds nothing to the old one's layout. So
# there are functions here that make a class, and no mixins.


def _sync(cls: Any) -> Any:
    class Adapted(cls):  # type: ignore[misc]  # a base that is known at run time
        _adapter_transport = Transport

        @with_signature_of(cls.__init__, SETTINGS)
        def __init__(self, *args: Any, settings: SettingsLike = None, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            initialize(self, settings)

        @with_signature_of(cls.copy, SETTINGS)
        def copy(self, *, settings: SettingsLike = None, **kwargs: Any) -> Any:
            return copy_client(
                "copy", Adapted, self, settings, kwargs, adapt_in_place=adapt_in_place
            )

        @with_signature_of(cls.with_options, SETTINGS)
        def with_options(self, *, settings: SettingsLike = None, **kwargs: Any) -> Any:
            return copy_client(
                "with_options", Adapted, self, settings, kwargs, adapt_in_place=adapt_in_place
            )

        @with_signature_of(cls.request)
        def request(self, *args: Any, **kwargs: Any) -> Any:
            native, context = begin_call(Adapted, self, args, kwargs)
            if context is None:
                return native(*args, **kwargs)
            call, result = decisions.CURRENT_CALL.set((self, context)), None
            try:
                while True:
                    try:
                        result = native(*args, **kwargs)
                        break
                    except BaseException as error:
                        again: Any = next_attempt(self, context, error)
                        if again is error:
                            raise
                        if isinstance(again, Exception):
                            raise again from error
                        context = again
            finally:
                decisions.CURRENT_CALL.reset(call)
            remember_result(result, context)
            return result

        @with_signature_of(cls._prepare_request)
        def _prepare_request(self, request: Any) -> None:
            native_method(Adapted, self, "_prepare_request")(request)
            attach_or_mark(self, request)  # unless it was attached where it was built

        @with_signature_of(cls._process_response)
        def _process_response(self, **kwargs: Any) -> Any:
            made = native_method(Adapted, self, "_process_response")(**kwargs)
            finish_reply(self, cls, Adapted, kwargs["response"], made)
            return made

    return with_tokens(
        with_chat_resource(with_call_contexts(with_fast_replies(Adapted, cls), cls)), cls
    )


def _async(cls: Any) -> Any:
    class Adapted(cls):  # type: ignore[misc]  # a base that is known at run time
        _adapter_transport = AsyncTransport

        @with_signature_of(cls.__init__, SETTINGS)
        def __init__(self, *args: Any, settings: SettingsLike = None, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            initialize(self, settings)

        @with_signature_of(cls.copy, SETTINGS)
        def copy(self, *, settings: SettingsLike = None, **kwargs: Any) -> Any:
            return copy_client(
                "copy", Adapted, self, settings, kwargs, adapt_in_place=adapt_in_place
            )

        @with_signature_of(cls.with_options, SETTINGS)
        def with_options(self, *, settings: SettingsLike = None, **kwargs: Any) -> Any:
            return copy_client(
                "with_options", Adapted, self, settings, kwargs, adapt_in_place=adapt_in_place
            )

        @with_signature_of(cls.request)
        async def request(self, *args: Any, **kwargs: Any) -> Any:
            native, context = begin_call(Adapted, self, args, kwargs)
            if context is None:
                return await native(*args, **kwargs)
            call, result = decisions.CURRENT_CALL.set((self, context)), None
            try:
                while True:
                    try:
                        result = await native(*args, **kwargs)
                        break
                    except BaseException as error:
                        again: Any = next_attempt(self, context, error)
                        if again is error:
                            raise
                        if isinstance(again, Exception):
                            raise again from error
                        context = again
            finally:
                decisions.CURRENT_CALL.reset(call)
            remember_result(result, context)
            return result

        @with_signature_of(cls._prepare_request)
        async def _prepare_request(self, request: Any) -> None:
            await native_method(Adapted, self, "_prepare_request")(request)
            attach_or_mark(self, request)  # unless it was attached where it was built

        @with_signature_of(cls._process_response)
        async def _process_response(self, **kwargs: Any) -> Any:
            made = await native_method(Adapted, self, "_process_response")(**kwargs)
            finish_reply(self, cls, Adapted, kwargs["response"], made)
            return made

    return with_tokens(
        with_chat_resource(with_call_contexts(with_fast_replies(Adapted, cls), cls)), cls
    )


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
    """The SDK's client, whose Chat Completions calls are routed by the settings.

    Takes every argument of `openai.OpenAI`, and `settings` (default: read from the environment).
    """


class AsyncOpenAI(_AsyncOpenAI):
    """The SDK's async client, whose Chat Completions calls are routed by the settings.

    See OpenAI.
    """


class AzureOpenAI(_AzureOpenAI):
    """The SDK's client for Azure, whose Chat Completions calls are routed by the settings.

    See OpenAI. The deployment becomes the request's model, and an `api-version` from before the
    Responses API is raised, with an entry in the ledger (docs/mapping.md#azure).
    """


class AsyncAzureOpenAI(_AsyncAzureOpenAI):
    """The SDK's async client for Azure, whose Chat Completions calls are routed by the settings.

    See AzureOpenAI.
    """


_ADAPTED: dict[type, type] = {
    openai.OpenAI: OpenAI,
    openai.AsyncOpenAI: AsyncOpenAI,
    openai.AzureOpenAI: AzureOpenAI,
    openai.AsyncAzureOpenAI: AsyncAzureOpenAI,
}


@lru_cache(maxsize=64)
def adapted(cls: Any) -> Any:
    """Return the adapted form of a client class; subclasses keep what they override."""
    if cls in _ADAPTED:
        return _ADAPTED[cls]
    made = (_async if issubclass(cls, openai.AsyncOpenAI) else _sync)(cls)
    made.__name__, made.__qualname__, made.__module__, made.__doc__ = (
        cls.__name__, cls.__qualname__, cls.__module__, cls.__doc__,
    )  # fmt: skip
    return made


def adapt_in_place(client: Any, settings: SettingsLike) -> None:
    """Change an existing client into an adapted one, or the settings of one that is adapted.

    Raise AdapterError if there is no client of the SDK in what is given.
    """
    target = client_in(client)
    with INSTALL_LOCK:
        cls: Any = type(target)
        if not is_adapted(cls):
            # The class changes last, in one step: a call in another thread finds all or nothing.
            own, before = adapted(cls), contents_of(target)
            target._adapter_settings = settings_of(settings)
            target._adapter_live = reloader_of(target._adapter_settings)
            try:
                target.__class__ = own
            except TypeError:
                forget_settings(target)
                raise
            target._adapter_before = before
            connect(target)
            if SUPPORTED and "chat" in target.__dict__:
                use_fast_resource(target.__dict__["chat"])
        elif settings is not None:
            configure(target, settings_of(settings))
