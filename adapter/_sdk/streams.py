"""Streams of adapted clients: the SDK's own, whose iterator reads chunks and no bytes.

Plain chunks are built by chunks.py. The SDK's reader builds only the rest (usage, errors,
logprobs, `[DONE]`): it starts with the first such frame, stays suspended between two of them, and
raises, drains and closes as it always does.

A stream of the SDK holds its reader, which holds the stream: one that is left by a bare `break`
stays open until the garbage collector runs, wherever a thread is by then. Inside httpcore's
book-keeping, which can be entered twice, that loses a connection (httpcore2 2.16) or deadlocks
(httpcore 1.0). Here the reader holds a copy, and the stream is closed where it is dropped.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

import openai
from openai.types.chat import ChatCompletionChunk

from adapter._http.bodies import frames_of
from adapter._runtime.call_context import context_of
from adapter._runtime.stream_iterators import AsyncStreamIterator, StreamIterator

from . import decisions
from .chunks import ChunkFactory
from .compat import native_reader
from .errors import api_error, is_bug


def _frame_reader(response: Any) -> Any:
    """Return the reader of a reply's frames; None if it has none, or was read or closed before."""
    if response.is_closed or response.is_stream_consumed:
        return None
    return frames_of(response)


def _sdk_reader(stream_copy: Any) -> Any:
    """Return a reader of the SDK that continues here, as if it had read from the first byte.

    A stream that was closed meanwhile fails where it is read.
    """
    stream_copy.response.is_stream_consumed = stream_copy.response.is_closed = False
    return native_reader(stream_copy)


def _raises_bugs(stream_copy: Any) -> bool:
    """Return whether the adapter's own bugs are to be raised."""
    context = context_of(stream_copy.response.request)
    return context is not None and context.router.settings.on_bug == "raise"


def _remember_id(stream_copy: Any, chunk: ChatCompletionChunk) -> bool:
    """Remember the id of a stream's first chunk, for `decision`; return True."""
    try:
        decisions.remember_chunk_id(stream_copy.response, chunk)
    except Exception:  # the answer is worth more than its record
        if _raises_bugs(stream_copy):
            raise
    return True


def read_chunks(stream_copy: Any) -> Iterator[ChatCompletionChunk]:
    """Read a stream of the SDK, of which `stream_copy` is a copy that the reader may hold."""
    sdk_reader: Any = None
    made: list[ChatCompletionChunk] = []
    try:
        frames: StreamIterator | None = _frame_reader(stream_copy.response)
        if frames is None:
            yield from native_reader(stream_copy)
            return
        stream_copy.response.is_stream_consumed = True
        build, named = ChunkFactory().build, False
        while (batch := frames.next_frames()) is not None:
            batch.reverse()
            while batch:
                frame = batch.pop()
                try:
                    one = build(frame)
                except Exception:  # the SDK makes the same
                    if _raises_bugs(stream_copy):
                        raise
                    one = None
                if one is None:
                    frames.put_back(frame)
                    sdk_reader = sdk_reader or _sdk_reader(stream_copy)
                    if (one := next(sdk_reader, None)) is None:
                        return
                named = named or _remember_id(stream_copy, one)
                made.append(one)
                del one, frame  # a waiting stream holds nothing of what it gave
                yield made.pop()
        yield from sdk_reader or _sdk_reader(stream_copy)
    except openai.OpenAIError:
        raise
    except Exception as error:
        if not is_bug(error) or _raises_bugs(stream_copy):
            raise
        raise api_error(error, stream_copy.response) from error
    finally:
        if sdk_reader is not None:
            sdk_reader.close()
        stream_copy.response.close()


async def aread_chunks(stream_copy: Any) -> AsyncIterator[ChatCompletionChunk]:
    """Read an async stream. See `read_chunks`."""
    sdk_reader: Any = None
    made: list[ChatCompletionChunk] = []
    try:
        frames: AsyncStreamIterator | None = _frame_reader(stream_copy.response)
        if frames is None:
            async for chunk in native_reader(stream_copy):
                yield chunk
            return
        stream_copy.response.is_stream_consumed = True
        build, named = ChunkFactory().build, False
        while (batch := await frames.next_frames()) is not None:
            batch.reverse()
            while batch:
                frame = batch.pop()
                try:
                    one = build(frame)
                except Exception:  # the SDK makes the same
                    if _raises_bugs(stream_copy):
                        raise
                    one = None
                if one is None:
                    frames.put_back(frame)
                    sdk_reader = sdk_reader or _sdk_reader(stream_copy)
                    if (one := await anext(sdk_reader, None)) is None:
                        return
                named = named or _remember_id(stream_copy, one)
                made.append(one)
                del one, frame
                yield made.pop()
        async for chunk in sdk_reader or _sdk_reader(stream_copy):
            yield chunk
    except openai.OpenAIError:
        raise
    except Exception as error:
        if not is_bug(error) or _raises_bugs(stream_copy):
            raise
        raise api_error(error, stream_copy.response) from error
    finally:
        await stream_copy.response.aclose()
