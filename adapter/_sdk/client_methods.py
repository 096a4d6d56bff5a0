"""What the methods of adapted clients do: begin calls, mark requests, read replies, copy.

The methods stand in functions that take a class, and not in mixins: see client.py for the reason.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from functools import partial
from inspect import Parameter
from typing import TYPE_CHECKING, Any

from openai.types.chat import ChatCompletion, ChatCompletionChunk

from adapter._http.client_transports import INSTALL_LOCK, connect, is_adapted
from adapter._routing.reload import reloader_of
from adapter._routing.router import HEADER
from adapter._runtime.call_context import CallContext, start_call
from adapter._runtime.internal_errors import context_after_bug, raises_bugs
from adapter._settings.coercion import SettingsLike, settings_of

from . import decisions
from .compat import SUPPORTED, custom_headers_of
from .errors import restart_after_bug
from .fast_resource import FastResource
from .request_context import attach_context, attach_failed, report_failure
from .resources import use_fast_resource
from .response_processing import build_completion, use_fast_stream
from .signatures import with_signature_of

if TYPE_CHECKING:
    from adapter._settings.settings import Settings

_PATH = "/chat/completions"

SETTINGS = Parameter(
    "settings",
    Parameter.KEYWORD_ONLY,
    default=None,
    annotation="Settings | Mapping[str, Any] | None",
)
"""The parameter that adapted clients have beside the SDK's."""


def initialize(client: Any, settings: SettingsLike) -> None:
    """Set up a client that was just constructed."""
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


def begin_call(
    adapted_class: Any, client: Any, args: tuple[Any, ...], given: dict[str, Any]
) -> tuple[Any, CallContext | None]:
    """Return the native `request`, and the context of the call that it was called for, if any."""
    reloader = client.__dict__.get("_adapter_live")
    try:
        native = super(adapted_class, client).request
    except TypeError:  # uninstalled, and held from before
        return method_of_class(client, "request"), None
    if reloader is None:
        return native, None
    try:
        return native, _start_call(client, reloader, args, given)
    except Exception as bug:  # noqa: BLE001  # raised there, if the settings say so
        return native, context_after_bug(reloader.router, bug, by_client=True)


def _start_call(
    client: Any, reloader: Any, args: tuple[Any, ...], given: dict[str, Any]
) -> CallContext | None:
    """Begin a call if `request` was called for one, by its options; return None otherwise."""
    options = given["options"] if "options" in given else args[1] if len(args) > 1 else None
    url = getattr(options, "url", None)
    if type(url) is not str or not url.endswith(_PATH):
        return None
    return start_call(reloader, by_client=True, names_backend=_names_backend(client, options))


def _names_backend(client: Any, options: Any) -> bool:
    """Return whether a header of a call, or of its client, names a backend."""
    for headers in (custom_headers_of(client), options.headers):
        for name in headers or ():
            if name.lower() == HEADER:
                return True
    return False


def native_method(adapted_class: Any, client: Any, name: str) -> Any:
    """Return a client's method as it is without the adapted class."""
    try:
        return getattr(super(adapted_class, client), name)
    except TypeError:  # uninstalled meanwhile
        return method_of_class(client, name)


def method_of_class(client: Any, name: str) -> Any:
    """Return a method of a client's present class.

    Not of the client itself: what is patched there may be the caller.
    """
    return partial(getattr(type(client), name), client)


def with_chat_resource(adapted_class: Any) -> Any:
    """Let a class make the client's `chat` faster when the SDK makes it."""
    if SUPPORTED:
        chat = FastResource(use_fast_resource)
        chat.__set_name__(adapted_class, "chat")
        adapted_class.chat = chat
    return adapted_class


def with_call_contexts(adapted_class: Any, cls: Any) -> Any:
    """Let a class attach call contexts where requests are built, and report failed calls.

    `cls` is its base, a client class of the SDK or a subclass. Reported here are only calls that
    don't come by the adapted `request` (request_context.py).
    """

    def build(self: Any, options: Any, *, retries_taken: int = 0) -> Any:
        native = native_method(adapted_class, self, "_build_request")
        request = native(options, retries_taken=retries_taken)
        attach_or_mark(self, request, retries_taken)
        return request

    def failed(self: Any, response: Any) -> Any:
        error = native_method(adapted_class, self, "_make_status_error_from_response")(response)
        try:
            report_failure(self, response, error)
        except Exception:  # the caller's error is worth more than its record
            if raises_bugs(self):
                raise
        return error

    _override(adapted_class, cls, "_build_request", build)
    _override(adapted_class, cls, "_make_status_error_from_response", failed)
    return adapted_class


def _override(adapted_class: Any, cls: Any, name: str, method: Any) -> None:
    """Put a method in place of a private one of the SDK, if the SDK still has it (compat.py)."""
    native = getattr(cls, name, None)
    if native is not None:
        setattr(adapted_class, name, with_signature_of(native)(method))


def attach_or_mark(client: Any, request: Any, retry: int | None = None) -> None:
    """Attach a call context to a request; if that fails, let the request go out as it came."""
    try:
        attach_context(client, request, retry)
    except Exception as bug:  # noqa: BLE001  # raised there, if the settings say so
        attach_failed(client, request, bug)


def finish_reply(client: Any, base: Any, adapted_class: Any, response: Any, made: Any) -> None:
    """Remember the call of what the SDK has made of a reply, and let a stream be read faster."""
    try:
        if not isinstance(client, adapted_class):  # uninstalled meanwhile
            return
        if not decisions.is_known(made):  # completions are, from where they are built
            decisions.remember_reply(response, made)
        use_fast_stream(client, base, adapted_class, made)
    except Exception:  # the SDK reads it itself
        if raises_bugs(client):
            raise


def with_fast_replies(adapted_class: Any, cls: Any) -> Any:
    """Let a class build completions faster than the SDK; `cls` is its base."""

    def process(self: Any, *, data: Any, cast_to: Any, response: Any) -> Any:
        made, unnamed = None, False
        try:
            native = super(adapted_class, self)._process_response_data
        except TypeError:  # uninstalled meanwhile
            native = method_of_class(self, "_process_response_data")
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
                decisions.remember_completion(response, made)
            except Exception:  # the result is worth more than its record
                if raises_bugs(self):
                    raise
        return made

    _override(adapted_class, cls, "_process_response_data", process)
    return adapted_class


_COPYING: ContextVar[tuple[type, Settings] | None] = ContextVar("adapter.copying", default=None)
"""The class of a client that is being copied, and its settings."""


def copy_client(
    name: str,
    cls: Any,
    client: Any,
    settings: SettingsLike,
    given: dict[str, Any],
    *,
    adapt_in_place: Callable[[Any, SettingsLike], None],
) -> Any:
    """Copy a client by its own `copy` or `with_options`, which may take more than the SDK's.

    `adapt_in_place` adapts a copy that is of another class, or is to have other settings.
    """
    with INSTALL_LOCK:  # the SDK's method asks the client for its class
        if not isinstance(client, cls):  # uninstalled meanwhile
            return method_of_class(client, name)(**given)
        chosen = client._adapter_settings if settings is None else settings_of(settings)
        copying = _COPYING.set((type(client), chosen))
        try:
            made = getattr(super(cls, client), name)(**given)
        finally:
            _COPYING.reset(copying)
    if settings is not None or not is_adapted(type(made)):
        adapt_in_place(made, chosen)
    return made


def next_attempt(client: Any, context: CallContext, error: BaseException) -> Any:
    """Report an exception that leaves a call.

    Return the context to repeat the call with, or the exception to raise.
    """
    again: Any = error
    try:
        context = decisions.current_context(client) or context
        again = restart_after_bug(context, error)
        if again is None or isinstance(again, Exception):
            again = again or error
            decisions.call_failed(context, again)
    except Exception:  # the caller's error is worth more than its record
        if context.router.settings.on_bug == "raise":
            raise
        return error
    if isinstance(again, CallContext):
        decisions.CURRENT_CALL.set((client, again))
    return again


def remember_result(result: Any, context: CallContext) -> None:
    """Keep a call's state for as long as its result lives."""
    try:
        if not decisions.is_known(result, context):
            decisions.remember(result, context.state)
    except Exception:  # the result is worth more than its record
        if context.router.settings.on_bug == "raise":
            raise
