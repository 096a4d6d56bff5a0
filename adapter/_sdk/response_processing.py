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

from adapter._runtime.stream_frames import frames_of

from .completions import completion
from .streams import aread, read

_SDK = str(Path(openai.__file__).parent)

# Older SDKs' readers leave a stream open where it raises, and let the HTTP library's errors through: there the SDK reads everything itself.
SUPPORTED = tuple(int(part) for part in openai.VERSION.split(".")[:2] if part.isdecimal()) >= (3, 0)
"""Tells whether the installed SDK's reader is one that can be helped."""


def is_sdks(method: Any) -> bool:
    """Tell whether a function is the SDK's own, and not what somebody (tracing does) has put in its place."""
    # The type first: wrapt's wrappers are equal to what they wrap, and would be found in its place.
    return type(method) is FunctionType and _is_from_sdk(method)


def is_in_sdk(function: FunctionType) -> bool:
    """Tell whether a function is written in the SDK, whatever it may wrap."""
    return function.__code__.co_filename.startswith(_SDK)


# Only what is the SDK's own, which lives as long as the process: what others put there may hold anything.
_KNOWN: set[Any] = set()


def _is_from_sdk(method: Any) -> bool:
    if method in _KNOWN:
        return True
    given = method
    while type(method) is FunctionType and is_in_sdk(method):
        inner = getattr(method, "__wrapped__", None)
        if inner is None:
            _KNOWN.add(given)
            return True
        method = inner
    return False


def read_completion(client: Any, base: Any, response: Any) -> ChatCompletion | None:
    """Build the completion that a client's reply holds; None where the SDK is to do it. `base`: its class without what is ours."""
    if client._strict_response_validation or not SUPPORTED or not is_sdks(base._process_response_data):
        return None
    return completion(response)


def read_stream(client: Any, base: Any, own: Any, stream: Any) -> Any:
    """Let a new stream of the SDK's read its chunks here, where nobody else takes part; return the stream.

    `own` is `base` with what is ours.
    """
    if type(stream) not in _READERS:
        return stream
    with suppress(Exception):  # another SDK, whose streams consist of something else: it reads them itself
        if (
            not client._strict_response_validation
            and getattr(client._process_response_data, "__func__", None) is own._process_response_data
            and is_sdks(base._process_response_data)
        ):
            _help(stream)
    return stream


def _help(stream: Any) -> None:
    response, options = stream.response, stream._options
    if (
        frames_of(response) is None
        or response.is_closed
        or response.is_stream_consumed
        or stream._cast_to is not ChatCompletionChunk
        or (options is not None and options.synthesize_event_and_data)
        or type(stream._decoder).__module__ != type(stream).__stream__.__module__
    ):
        return
    cls, given = type(stream), stream._iterator
    code = given.gi_code if cls is openai.Stream else given.ag_code
    if code is _CODES[cls] and is_sdks(cls.__stream__) and is_sdks(cls._iter_events):
        twin = object.__new__(cls)  # what reads may hold the twin; the stream itself holds what reads
        twin.__dict__.update(stream.__dict__)
        del twin._iterator
        stream._iterator = _READERS[cls](twin)


_READERS: dict[type, Any] = {openai.Stream: read, openai.AsyncStream: aread} if SUPPORTED else {}
_CODES = {cls: getattr(cls.__dict__.get("__stream__"), "__code__", None) for cls in _READERS}
