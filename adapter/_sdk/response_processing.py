"""Faster results inside the SDK's response processing, below all that can be overridden.

The transport translates, retries and falls back either way; chosen here is how a translated reply
becomes an object. `post`, `request` and overrides of them by subclasses or tracers see the SDK's
own classes and objects (docs/decisions.md#two-ways-in). A completion is validated instead of
constructed (completions.py), and a stream of the SDK gets another iterator (streams.py).

Left to the SDK, which gives the same more slowly: strict validation, other types that were asked
for, streams of raw responses, and an SDK whose processing is unknown or patched.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import openai
from openai.types.chat import ChatCompletion

from adapter._http.bodies import frames_of

from . import compat
from .completions import validated_completion
from .streams import aread_chunks, read_chunks

_READERS: dict[type, Any] = {
    cls: aread_chunks if cls is openai.AsyncStream else read_chunks for cls in compat.STREAMS
}


def build_completion(client: Any, base: Any, response: Any) -> ChatCompletion | None:
    """Build the completion that a client's reply holds; None if the SDK is to build it.

    `base` is the client's class without the adapter's.
    """
    if not compat.SUPPORTED or not compat.processes_natively(client, base):
        return None
    return validated_completion(response)


def use_fast_stream(client: Any, base: Any, adapted_class: Any, stream: Any) -> Any:
    """Let a new stream of the SDK build its chunks faster, if its reading isn't patched; return it.

    `adapted_class` is the adapted form of `base`.
    """
    read = _READERS.get(type(stream))
    if read is None:
        return stream
    with suppress(Exception):  # an SDK whose streams consist of something else reads them itself
        response = stream.response
        if (
            compat.processes_natively(client, base)
            and compat.uses_own_method(client, adapted_class, "_process_response_data")
            and frames_of(response) is not None
            and not response.is_closed
            and not response.is_stream_consumed
            and compat.is_read_as_chunks(stream)
        ):
            compat.replace_reader(stream, read)
    return stream
