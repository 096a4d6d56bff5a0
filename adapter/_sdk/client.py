"""The SDK's clients, adapted: the same classes, the same constructors, and `settings`."""

from __future__ import annotations

from contextvars import ContextVar
from functools import lru_cache, partial
from inspect import Parameter
from typing import TYPE_CHECKING, Any

import openai
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from adapter._http.client_transports import INSTALL_LOCK, connect, is_adapted
from adapter._http.transport import AsyncTransport, Transport
from adapter._routing.reload import reloader_of
from adapter._routing.router import HEADER
from adapter._runtime import decisions
from adapter._runtime.call_context import CallContext, start_call
from adapter._runtime.internal_errors import context_after_bug, raises_bugs
from adapter._settings.coercion import SettingsLike, settings_of
from adapter._settings.settings import Settings

from .errors import restart_after_bug
from .request_context import attach_context, attach_failed, report_failure
from .resources import FastResource, use_fast_resource
from .response_processing import SUPPORTED, build_completion, use_fast_stream
from .signatures import with_signature_of
from .tokens import with_tokens

_PATH = "/chat/completions"
_SETTINGS = Parameter(
    "settings",
    Parameter.KEYWORD_ONLY,
    default=None,
    annotation="Settings | Mapping[str, Any] | None",
)


def _adapt(client: Any, settings: SettingsLike) -> None:
    if settings is None:
        copying = _COPYING.get()
        settings = copying[1] if copying is not None and copying[0] is type(client) else None
    configure(client, settings_of(settings))
    connect(client)


def configure(client: Any, settings: Settings) -> None:
    """Put settings in force for a client."""
    client._adapter_settings, client._adapter_live = settings, reloader_of(settings)
    if SUPPORTED and "chat" in client.__dict__:
        use_fast_resource(client.__dict__["chat"])


def _start_call(
    client: Any, reloader: Any, args: tuple[Any, ...], given: dict[str, Any]
) -> CallContext | None:
    """Begin a call, if its options, the second argument, say that it is one."""
    options = given["options"] if "options" in given else args[1] if len(args) > 1 else None
    url = getattr(options, "url", None)
    if type(url) is not str or not url.endswith(_PATH):
        return None
    return start_call(reloader, by_client=True, names_backend=_names_backend(client, options))


def _names_backend(client: Any, options: Any) -> bool:
    """Tell whether a header of a call, or of its client, names a backend."""
    for headers in (client._custom_headers, options.headers):
        for name in headers or ():
            if name.lower() == HEADER:
                return True
    return False


def _method_of_class(client: Any, name: str) -> Any:
    """Return a method of what a client has become, whatever stands on the client itself, which may be what calls."""
    return partial(getattr(type(client), name), client)


def _with_resources(adapted_class: Any) -> Any:
    """Let a class adopt the client's `chat` when it is made."""
    if SUPPORTED:
        chat = FastResource()
        chat.__set_name__(adapted_class, "chat")
        adapted_class.chat = chat
    return adapted_class


def _with_call_contexts(adapted_class: Any, cls: Any) -> Any:
    """Let a class mark its requests where they are built, and tell how those end that nothing of ours stands above."""

    @with_signature_of(cls._build_request)
    def build(self: Any, options: Any, *, retries_taken: int = 0) -> Any:
        try:
            native = super(adapted_class, self)._build_request
        except TypeError:  # uninstalled meanwhile
            native = _method_of_class(self, "_build_request")
        request = native(options, retries_taken=retries_taken)
        try:
            attach_context(self, request, retries_taken)
        except Exception as bug:  # noqa: BLE001  # raised there, where that is wanted
            attach_failed(self, request, bug)
        return request

    @with_signature_of(cls._make_status_error_from_response)
    def failed(self: Any, response: Any) -> Any:
        try:
            native = super(adapted_class, self)._make_status_error_from_response
        except TypeError:  # uninstalled meanwhile
            native = _method_of_class(self, "_make_status_error_from_response")
        error = native(response)
        try:
            report_failure(self, response, error)
        except Exception:  # what the caller gets is worth more than what is known of it
            if raises_bugs(self):
                raise
        return error

    adapted_class._build_request, adapted_class._make_status_error_from_response = build, failed
    return adapted_class


def _with_fast_replies(adapted_class: Any, cls: Any) -> Any:
    """Give a class its own way to read replies; `cls` is what it was made of."""

    @with_signature_of(cls._process_response_data)
    def process(self: Any, *, data: Any, cast_to: Any, response: Any) -> Any:
        made, unnamed = None, False
        try:
            native = super(adapted_class, self)._process_response_data
        except TypeError:  # uninstalled meanwhile
            native = _method_of_class(self, "_process_response_data")
        else:
            try:
                if cast_to is ChatCompletion:
                    made = build_completion(self, cls, response)
                elif cast_to is ChatCompletionChunk:
                    unnamed = not decisions.unify_chunk_ids(response, data)
            except Exception:  # the SDK makes the same
                if raises_bugs(self):
                    raise
        if made is None:
            made = native(data=data, cast_to=cast_to, response=response)
        if unnamed or cast_to is ChatCompletion:
            try:
                decisions.remember_reply(response, made)
            except Exception:  # a call is not lost for what is known of it
                if raises_bugs(self):
                    raise
        return made

    adapted_class._process_response_data = process
    return adapted_class


_COPYING: ContextVar[tuple[type, Settings] | None] = ContextVar("adapter.copying", default=None)
"""The class of a client that is being copied, and its settings."""


def _copy_client(
    name: str, cls: Any, client: Any, settings: SettingsLike, given: dict[str, Any]
) -> Any:
    """Copy a client as its own `copy` or `with_options` does it, which may take other arguments than the SDK's."""
    with INSTALL_LOCK:  # the SDK's asks the client for its class
        if not isinstance(client, cls):  # uninstalled meanwhile
            return _method_of_class(client, name)(**given)
        chosen = client._adapter_settings if settings is None else settings_of(settings)
        copying = _COPYING.set((type(client), chosen))
        try:
            made = getattr(super(cls, client), name)(**given)
        finally:
            _COPYING.reset(copying)
    if settings is not None or not is_adapted(type(made)):
        from .install import install  # which needs what is here

        install(made, chosen)
    return made


def _after_error(context: Any, error: BaseException) -> Any:
    """Tell of an exception that leaves a call; return a ticket to make the call anew with, or what is raised."""
    again = restart_after_bug(context, error)
    if again is None or isinstance(again, Exception):
        decisions.call_failed(context, again or error)
    return error if again is None else again


# The adapted form of a client class is made as its only child: `install` changes the class of a living object, which CPython allows
# where the new class grew from the old one alone. So there are functions here where there would be mixins.


def _sync(cls: Any) -> Any:  # noqa: C901  # a class
    class Adapted(cls):  # type: ignore[misc]  # a base that is known at run time
        _adapter_transport = Transport

        @with_signature_of(cls.__init__, _SETTINGS)
        def __init__(self, *args: Any, settings: SettingsLike = None, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            _adapt(self, settings)

        @with_signature_of(cls.copy, _SETTINGS)
        def copy(self, *, settings: SettingsLike = None, **kwargs: Any) -> Any:
            return _copy_client("copy", Adapted, self, settings, kwargs)

        @with_signature_of(cls.with_options, _SETTINGS)
        def with_options(self, *, settings: SettingsLike = None, **kwargs: Any) -> Any:
            return _copy_client("with_options", Adapted, self, settings, kwargs)

        @with_signature_of(cls.request)
        def request(self, *args: Any, **kwargs: Any) -> Any:
            reloader, context = self.__dict__.get("_adapter_live"), None
            try:
                native = super().request
            except TypeError:  # uninstalled, and held from before
                native, reloader = _method_of_class(self, "request"), None
            if reloader is not None:
                try:
                    context = _start_call(self, reloader, args, kwargs)
                except Exception as bug:  # noqa: BLE001  # raised there, where that is wanted
                    context = context_after_bug(reloader.router, bug, by_client=True)
            if context is None:
                return native(*args, **kwargs)
            call, result = decisions.CURRENT_CALL.set((self, context)), None
            try:
                while True:
                    try:
                        result = native(*args, **kwargs)
                        break
                    except BaseException as error:
                        again: Any = error
                        try:
                            context = decisions.current_context(self) or context
                            again = _after_error(context, error)
                        except (
                            Exception
                        ):  # what the caller gets is worth more than what is known of it
                            if context.router.settings.on_bug == "raise":
                                raise
                        if again is error:
                            raise
                        if isinstance(again, Exception):
                            raise again from error
                        context = again
                        decisions.CURRENT_CALL.set((self, context))
            finally:
                decisions.CURRENT_CALL.reset(call)
            try:
                if not decisions.is_known(result, context):
                    decisions.remember(result, context.state)
            except Exception:  # a call is not lost for what is known of it
                if context.router.settings.on_bug == "raise":
                    raise
            return result

        @with_signature_of(cls._prepare_request)
        def _prepare_request(self, request: Any) -> None:
            try:
                native = super()._prepare_request
            except TypeError:  # uninstalled meanwhile
                native = _method_of_class(self, "_prepare_request")
            native(request)
            try:
                attach_context(self, request)  # unless it was where it was built
            except Exception as bug:  # noqa: BLE001  # raised there, where that is wanted
                attach_failed(self, request, bug)

        @with_signature_of(cls._process_response)
        def _process_response(self, **kwargs: Any) -> Any:
            try:
                native = super()._process_response
            except TypeError:  # uninstalled meanwhile
                return _method_of_class(self, "_process_response")(**kwargs)
            made = native(**kwargs)
            try:
                if not decisions.is_known(made):  # a completion is, since it was made
                    decisions.remember_reply(kwargs["response"], made)
                use_fast_stream(self, cls, Adapted, made)
            except Exception:  # the SDK reads it itself
                if raises_bugs(self):
                    raise
            return made

    return with_tokens(
        _with_resources(_with_call_contexts(_with_fast_replies(Adapted, cls), cls)), cls
    )


def _async(cls: Any) -> Any:  # noqa: C901  # a class
    class Adapted(cls):  # type: ignore[misc]  # a base that is known at run time
        _adapter_transport = AsyncTransport

        @with_signature_of(cls.__init__, _SETTINGS)
        def __init__(self, *args: Any, settings: SettingsLike = None, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            _adapt(self, settings)

        @with_signature_of(cls.copy, _SETTINGS)
        def copy(self, *, settings: SettingsLike = None, **kwargs: Any) -> Any:
            return _copy_client("copy", Adapted, self, settings, kwargs)

        @with_signature_of(cls.with_options, _SETTINGS)
        def with_options(self, *, settings: SettingsLike = None, **kwargs: Any) -> Any:
            return _copy_client("with_options", Adapted, self, settings, kwargs)

        @with_signature_of(cls.request)
        async def request(self, *args: Any, **kwargs: Any) -> Any:
            reloader, context = self.__dict__.get("_adapter_live"), None
            try:
                native = super().request
            except TypeError:  # uninstalled, and held from before
                native, reloader = _method_of_class(self, "request"), None
            if reloader is not None:
                try:
                    context = _start_call(self, reloader, args, kwargs)
                except Exception as bug:  # noqa: BLE001  # raised there, where that is wanted
                    context = context_after_bug(reloader.router, bug, by_client=True)
            if context is None:
                return await native(*args, **kwargs)
            call, result = decisions.CURRENT_CALL.set((self, context)), None
            try:
                while True:
                    try:
                        result = await native(*args, **kwargs)
                        break
                    except BaseException as error:
                        again: Any = error
                        try:
                            context = decisions.current_context(self) or context
                            again = _after_error(context, error)
                        except (
                            Exception
                        ):  # what the caller gets is worth more than what is known of it
                            if context.router.settings.on_bug == "raise":
                                raise
                        if again is error:
                            raise
                        if isinstance(again, Exception):
                            raise again from error
                        context = again
                        decisions.CURRENT_CALL.set((self, context))
            finally:
                decisions.CURRENT_CALL.reset(call)
            try:
                if not decisions.is_known(result, context):
                    decisions.remember(result, context.state)
            except Exception:  # a call is not lost for what is known of it
                if context.router.settings.on_bug == "raise":
                    raise
            return result

        @with_signature_of(cls._prepare_request)
        async def _prepare_request(self, request: Any) -> None:
            try:
                native = super()._prepare_request
            except TypeError:  # uninstalled meanwhile
                native = _method_of_class(self, "_prepare_request")
            await native(request)
            try:
                attach_context(self, request)  # unless it was where it was built
            except Exception as bug:  # noqa: BLE001  # raised there, where that is wanted
                attach_failed(self, request, bug)

        @with_signature_of(cls._process_response)
        async def _process_response(self, **kwargs: Any) -> Any:
            try:
                native = super()._process_response
            except TypeError:  # uninstalled meanwhile
                return await _method_of_class(self, "_process_response")(**kwargs)
            made = await native(**kwargs)
            try:
                if not decisions.is_known(made):  # a completion is, since it was made
                    decisions.remember_reply(kwargs["response"], made)
                use_fast_stream(self, cls, Adapted, made)
            except Exception:  # the SDK reads it itself
                if raises_bugs(self):
                    raise
            return made

    return with_tokens(
        _with_resources(_with_call_contexts(_with_fast_replies(Adapted, cls), cls)), cls
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


_ADAPTED: dict[type, type] = {
    openai.OpenAI: OpenAI,
    openai.AsyncOpenAI: AsyncOpenAI,
    openai.AzureOpenAI: AzureOpenAI,
    openai.AsyncAzureOpenAI: AsyncAzureOpenAI,
}


@lru_cache(maxsize=64)
def adapted(cls: Any) -> Any:
    """Return the adapted form of a client class; a subclass of the SDK's keeps everything of its own."""
    if cls in _ADAPTED:
        return _ADAPTED[cls]
    made = (_async if issubclass(cls, openai.AsyncOpenAI) else _sync)(cls)
    made.__name__, made.__qualname__, made.__module__, made.__doc__ = (
        cls.__name__, cls.__qualname__, cls.__module__, cls.__doc__,
    )  # fmt: skip
    return made
