"""What the adapter uses of the SDK's private parts, in one place.

Each name says which SDK versions have the part (tested: 1.66 to 3.54), and what happens without
it. Two kinds of private names stand elsewhere. Those of methods that an adapted client overrides
are in all versions: without `_prepare_request` or `_process_response` no adapted class can be made;
without `_build_request`, `_process_response_data` or `_make_status_error_from_response` the first
two do their work. `_client`, an SDK client's HTTP client, which `_http` wraps, is in all versions.

Readers of one attribute are `attrgetter`s: they are read in each call, and add no frame to it.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import cache
from operator import attrgetter
from pathlib import Path
from types import FunctionType, SimpleNamespace
from typing import Any, get_args, get_type_hints, is_typeddict

import openai
from openai.types.chat import ChatCompletionChunk, ChatCompletionMessageParam

try:
    from openai._compat import model_dump
    from openai._models import BaseModel
except ImportError:
    _model_dump: Any = None
else:
    _model_dump = model_dump

# Which SDK it is

_SDK = str(Path(openai.__file__).parent)

SUPPORTED = tuple(int(part) for part in openai.VERSION.split(".")[:2] if part.isdecimal()) >= (3, 0)
"""Whether results, chunks and messages of this SDK can be built faster than by the SDK itself.

The stream readers of SDKs before 3.0 leave a stream open where it raises, and let the HTTP
library's errors through. There the SDK builds and reads everything itself.
"""

CHUNKS_HAVE_PADDING = "obfuscation" in ChatCompletionChunk.model_fields
"""Whether `obfuscation` is a field of a chunk, as in newer SDKs 3.x; before, it is an extra."""


# Whose code it is


def is_sdk_function(method: Any) -> bool:
    """Return whether a function is the SDK's own, and not one that a tracer or patch put there."""
    # The type first: wrapt's wrappers are equal to what they wrap, and would be found in the set.
    return type(method) is FunctionType and _is_wholly_sdk(method)


def is_defined_in_sdk(function: FunctionType) -> bool:
    """Return whether a function is written in the SDK, whatever it may wrap."""
    return function.__code__.co_filename.startswith(_SDK)


# Only functions of the SDK, which live as long as the process: others may refer to anything.
_SDK_FUNCTIONS: set[Any] = set()


def _is_wholly_sdk(method: Any) -> bool:
    if method in _SDK_FUNCTIONS:
        return True
    outermost = method
    while type(method) is FunctionType and is_defined_in_sdk(method):
        inner = getattr(method, "__wrapped__", None)
        if inner is None:
            _SDK_FUNCTIONS.add(outermost)
            return True
        method = inner
    return False


def is_sdk_resource(cls: type) -> bool:
    """Return whether a class is one of the SDK's resources, by its module; so in all versions."""
    return cls.__module__.startswith("openai.resources.")


# Clients and resources


def custom_headers_of(client: Any) -> Any:
    """Return a client's `default_headers` as they were given.

    In all versions; without them, with the SDK's own headers.
    """
    try:
        return client._custom_headers
    except AttributeError:
        return client.default_headers


CLIENT = "_client"
"""The attribute of a resource that holds its client. In all versions.

Without it `create` and `parse` aren't made faster, and the SDK's own methods run.
"""

client_of: Callable[[Any], Any] = attrgetter(CLIENT)
"""Return a resource's client. Raise AttributeError where it has none."""

POST = "_post"
"""The attribute of a resource that holds its client's `post`, by which `create` sends. In all
versions; without it the SDK's own methods transform the messages."""


def module_client() -> Any:
    """Return the client of the module `openai`, made as the module is configured at present.

    `openai._load_client` is in all versions; without it `install(openai)` raises AttributeError.
    """
    return openai._load_client()


def uses_own_method(client: Any, adapted_class: Any, name: str) -> bool:
    """Return whether a client's method is its adapted class's, and not one put on the client."""
    return getattr(getattr(client, name), "__func__", None) is getattr(adapted_class, name)


def processes_natively(client: Any, base: Any) -> bool:
    """Return whether the SDK's own code makes a client's replies into objects, without validation.

    `base` is the client's class without the adapter's. `_strict_response_validation` and
    `_process_response_data` are in all versions; without them the SDK makes all objects itself.
    """
    return not getattr(client, "_strict_response_validation", True) and is_sdk_function(
        getattr(base, "_process_response_data", None)
    )


# Tokens

TOKEN_METHODS: dict[str, Callable[[dict[str, Any]], bool]] = {
    "_refresh_api_key": lambda values: values.get("_api_key_provider") is not None,
    "_get_azure_ad_token": lambda values: values.get("_azure_ad_token") is None,
}
"""The methods of a client that return a token, and whether it was fetched, by the client's
attributes. In all versions that have such tokens; without them a token counts whole
(docs/decisions.md#isolation)."""


def workload_token(client: Any) -> Callable[[], str | None] | None:
    """Return a function that returns a client's token for its workload identity; None without one.

    The SDK fetches it after the request is built. The attributes are in SDKs from 2.30 on; without
    them a token counts whole (docs/decisions.md#isolation).
    """
    auth = client.__dict__.get("_workload_identity_auth")
    return None if auth is None else lambda: getattr(auth, "_cached_token", None)


# Messages


def dump_message(message: Any) -> Any:
    """Return an object of the SDK as the SDK's transform dumps it; None for any other object.

    `openai._compat.model_dump`, `openai._models.BaseModel` and `__api_exclude__` are in all
    versions; without them only the SDK transforms messages that aren't plain JSON.
    """
    if _model_dump is None or not isinstance(message, BaseModel):
        return None
    exclude = getattr(message, "__api_exclude__", None)
    return _model_dump(message, exclude_unset=True, mode="json", exclude=exclude)


@cache
def messages_have_no_alias() -> bool:
    """Return whether messages are sent under the names that they are written with.

    So in all versions. With an alias, or where the types can't be read, the SDK transforms them.
    """
    seen: set[Any] = set()

    def has_alias(annotation: Any) -> bool:
        if getattr(annotation, "alias", None) is not None:
            return True
        if is_typeddict(annotation):
            if annotation in seen:
                return False
            seen.add(annotation)
            return any(map(has_alias, get_type_hints(annotation, include_extras=True).values()))
        inside = (*get_args(annotation), *getattr(annotation, "__metadata__", ()))
        return any(map(has_alias, inside))

    try:
        return not has_alias(ChatCompletionMessageParam)
    except Exception:  # noqa: BLE001  # then only the SDK can tell
        return False


@cache
def writes_model_first(method: Any) -> bool:
    """Return whether a resource's `create` begins the body with the model, before it posts it.

    So in SDK 3.54. Where it doesn't, or can't be tried without a request, the SDK writes and
    transforms the model.
    """
    written: list[str] = []

    def post(_path: str, *, body: dict[str, Any], **_options: Any) -> None:
        written.extend(body)
        raise _TriedError

    try:
        given = dict.fromkeys([*inspect.signature(method).parameters][1:])
        made = method(SimpleNamespace(**{POST: post}), **given)
        if inspect.iscoroutine(made):
            made.send(None)
    except Exception:  # noqa: BLE001  # as planned, or since the method does something else
        return written[:1] == ["model"]
    return False


class _TriedError(Exception):
    """Ends a trial of `create` before it sends."""


# Streams

STREAMS: tuple[type, ...] = (openai.Stream, openai.AsyncStream) if SUPPORTED else ()
"""The classes of streams whose reader can be replaced."""

_READER_CODES = {cls: getattr(cls.__dict__.get("__stream__"), "__code__", None) for cls in STREAMS}


def is_read_as_chunks(stream: Any) -> bool:
    """Return whether a stream is read by the SDK's own code, and into plain chunks.

    Raise AttributeError where a stream consists of other attributes than those of SDKs 3.0 to
    3.54 (`_cast_to`, `_options`, `_decoder`, `_iterator`, `_iter_events`, `__stream__`): such a
    stream keeps its reader.
    """
    cls, options, iterator = type(stream), stream._options, stream._iterator
    if (
        stream._cast_to is not ChatCompletionChunk
        or (options is not None and options.synthesize_event_and_data)
        or type(stream._decoder).__module__ != cls.__stream__.__module__
    ):
        return False
    code = iterator.gi_code if cls is openai.Stream else iterator.ag_code
    return (
        code is _READER_CODES[cls]
        and is_sdk_function(cls.__stream__)
        and is_sdk_function(cls._iter_events)
    )


def replace_reader(stream: Any, read: Callable[[Any], Any]) -> None:
    """Let `read` read a stream: a function of a copy of it, since the stream holds its reader."""
    stream_copy = object.__new__(type(stream))
    stream_copy.__dict__.update(stream.__dict__)
    del stream_copy._iterator
    stream._iterator = read(stream_copy)


def native_reader(stream: Any) -> Any:
    """Return a new reader of a stream, as the SDK makes it. SDKs 3.0 to 3.54."""
    return stream.__stream__()
