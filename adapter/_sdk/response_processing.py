"""How the client door reads replies: inside the SDK's response processing, below all that is public or made to be overridden.

The request goes through the wire door either way, which decides, translates, retries and falls back; what is chosen here is how the
translated reply becomes an object. What a call passes on its way (`post`, `request`, a subclass's or a tracer's own version of them) is
given the SDK's own classes and gives the SDK's own objects. A completion is validated instead of constructed field by field
(own_results.py), and a stream of the SDK's is given another iterator (own_streams.py).

Whatever is out of the ordinary is left to the SDK, which gives the same, more slowly: strict validation, other types asked for, raw
responses' streams, and an SDK whose processing isn't the one known here, or is somebody's own.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from types import FunctionType
from typing import Any

import openai
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from adapter._runtime.stream_frames import frame_reader_of

from .completions import validated_completion
from .streams import aread_chunks, read_chunks

_SDK = str(Path(openai.__file__).parent)

# Older SDKs' readers leave a stream open where it raises, and let the HTTP library's errors through: there the SDK reads everything itself.
SUPPORTED = tuple(int(part) for part in openai.VERSION.split(".")[:2] if part.isdecimal()) >= (3, 0)
"""Tells whether the installed SDK's reader is one that can be helped."""


def is_sdk_function(method: Any) -> bool:
    """Tell whether a function is the SDK's own, and not what somebody (tracing does) has put in its place."""
    # The type first: wrapt's wrappers are equal to what they wrap, and would be found in its place.
    return type(method) is FunctionType and _is_wholly_sdk(method)


def is_defined_in_sdk(function: FunctionType) -> bool:
    """Tell whether a function is written in the SDK, whatever it may wrap."""
    return function.__code__.co_filename.startswith(_SDK)


# Only what is the SDK's own, which lives as long as the process: what others put there may hold anything.
_SDK_FUNCTIONS: set[Any] = set()


def _is_wholly_sdk(method: Any) -> bool:
    if method in _SDK_FUNCTIONS:
        return True
    given = method
    while type(method) is FunctionType and is_defined_in_sdk(method):
        inner = getattr(method, "__wrapped__", None)
        if inner is None:
            _SDK_FUNCTIONS.add(given)
            return True
        method = inner
    return False


def build_completion(client: Any, base: Any, response: Any) -> ChatCompletion | None:
    """Build the completion that a client's reply holds; None where the SDK is to do it. `base`: its class without what is ours."""
    if (
        client._strict_response_validation
        or not SUPPORTED
        or not is_sdk_function(base._process_response_data)
    ):
        return None
    return validated_completion(response)


def use_fast_stream(client: Any, base: Any, adapted_class: Any, stream: Any) -> Any:
    """Let a new stream of the SDK's read its chunks here, where nobody else takes part; return the stream.

    `own` is `base` with what is ours.
    """
    if type(stream) not in _READERS:
        return stream
    with suppress(
        Exception
    ):  # another SDK, whose streams consist of something else: it reads them itself
        if (
            not client._strict_response_validation
            and getattr(client._process_response_data, "__func__", None)
            is adapted_class._process_response_data
            and is_sdk_function(base._process_response_data)
        ):
            _replace_iterator(stream)
    return stream


def _replace_iterator(stream: Any) -> None:
    response, options = stream.response, stream._options
    if (
        frame_reader_of(response) is None
        or response.is_closed
        or response.is_stream_consumed
        or stream._cast_to is not ChatCompletionChunk
        or (options is not None and options.synthesize_event_and_data)
        or type(stream._decoder).__module__ != type(stream).__stream__.__module__
    ):
        return
    cls, given = type(stream), stream._iterator
    code = given.gi_code if cls is openai.Stream else given.ag_code
    if (
        code is _ITERATOR_CODES[cls]
        and is_sdk_function(cls.__stream__)
        and is_sdk_function(cls._iter_events)
    ):
        stream_copy = object.__new__(
            cls
        )  # what reads may hold the twin; the stream itself holds what reads
        stream_copy.__dict__.update(stream.__dict__)
        del stream_copy._iterator
        stream._iterator = _READERS[cls](stream_copy)


_READERS: dict[type, Any] = (
    {openai.Stream: read_chunks, openai.AsyncStream: aread_chunks} if SUPPORTED else {}
)
_ITERATOR_CODES = {
    cls: getattr(cls.__dict__.get("__stream__"), "__code__", None) for cls in _READERS
}
