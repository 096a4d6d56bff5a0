"""The client door's streams: the SDK's own, whose iterator reads a translated reply chunk by chunk and not by way of bytes.

Plain chunks are built by own_chunks.py; the SDK's reader builds only what is out of the ordinary (usage, errors, logprobs, `[DONE]`). It
comes in with the first event that is its own, and stays, suspended between two of those: it raises, drains and closes as it always does.

A stream of the SDK's holds its reader, which holds the stream: one that is left by a bare `break` stays open until the garbage is
collected, wherever a thread is by then. In the midst of httpcore's own book-keeping, which may be entered twice, that loses a
connection (httpcore2 2.16), or waits for ever (httpcore 1.0). Here what reads holds a twin, and the stream is closed where it is dropped.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

import openai
from openai.types.chat import ChatCompletionChunk

from adapter._runtime import decisions
from adapter._runtime.call_context import context_of
from adapter._runtime.stream_frames import AsyncFrameReader, FrameReader, frame_reader_of

from .chunks import ChunkFactory
from .errors import api_error, is_bug


def _frame_reader(response: Any) -> Any:
    """Return the frames that a reply is made of; None where it has none, or somebody has read or closed it already."""
    if response.is_closed or response.is_stream_consumed:
        return None
    return frame_reader_of(response)


def _sdk_reader(cls: Any, stream_copy: Any) -> Any:
    """Let the SDK's own reader read on, as if it had from the first byte: a stream that was closed since fails where it is read."""
    stream_copy.response.is_stream_consumed = stream_copy.response.is_closed = False
    return cls.__stream__(stream_copy)


def _raises_bugs(stream_copy: Any) -> bool:
    """Tell whether the adapter's own bugs are to be raised."""
    context = context_of(stream_copy.response.request)
    return context is not None and context.router.settings.on_bug == "raise"


def _remember_id(stream_copy: Any, chunk: ChatCompletionChunk) -> bool:
    """Let the chunks of a stream be known by its first one; return whether there is no more to do."""
    try:
        decisions.remember_chunk_id(stream_copy.response, chunk)
    except Exception:  # the answer is worth more than what is known of it
        if _raises_bugs(stream_copy):
            raise
    return True


def read_chunks(stream_copy: Any) -> Iterator[ChatCompletionChunk]:
    """Read a stream; `twin` is one like it, that the reader may hold."""
    sdk_reader: Any = None
    made: list[ChatCompletionChunk] = []
    try:
        frames: FrameReader | None = _frame_reader(stream_copy.response)
        if frames is None:
            yield from openai.Stream.__stream__(stream_copy)
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
                    sdk_reader = sdk_reader or _sdk_reader(openai.Stream, stream_copy)
                    if (one := next(sdk_reader, None)) is None:
                        return
                named = named or _remember_id(stream_copy, one)
                made.append(one)
                del one, frame  # while it waits, a stream holds nothing of what it gave
                yield made.pop()
        yield from sdk_reader or _sdk_reader(openai.Stream, stream_copy)
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


async def aread_chunks(stream_copy: Any) -> AsyncIterator[ChatCompletionChunk]:  # noqa: C901  # as `read`
    """Read an async stream. See `read`."""
    sdk_reader: Any = None
    made: list[ChatCompletionChunk] = []
    try:
        frames: AsyncFrameReader | None = _frame_reader(stream_copy.response)
        if frames is None:
            async for chunk in openai.AsyncStream.__stream__(stream_copy):
                yield chunk
            return
        stream_copy.response.is_stream_consumed = True
        build, named = ChunkFactory().build, False
        while (pending := frames.next_frames()) is not None:
            try:
                batch = await pending
            except StopAsyncIteration:
                break
            except Exception as error:  # noqa: BLE001  # the SDK's own reader raises it
                frames.set_error(error)
                break
            del pending
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
                    sdk_reader = sdk_reader or _sdk_reader(openai.AsyncStream, stream_copy)
                    if (one := await anext(sdk_reader, None)) is None:
                        return
                named = named or _remember_id(stream_copy, one)
                made.append(one)
                del one, frame
                yield made.pop()
        async for chunk in sdk_reader or _sdk_reader(openai.AsyncStream, stream_copy):
            yield chunk
    except openai.OpenAIError:
        raise
    except Exception as error:
        if not is_bug(error) or _raises_bugs(stream_copy):
            raise
        raise api_error(error, stream_copy.response) from error
    finally:
        await stream_copy.response.aclose()
