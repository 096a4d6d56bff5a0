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
from adapter._runtime.call_context import ticket_of
from adapter._runtime.stream_frames import AFrames, Frames, frames_of

from .chunks import Building
from .errors import api_error, is_bug


def _frames(response: Any) -> Any:
    """Return the frames that a reply is made of; None where it has none, or somebody has read or closed it already."""
    if response.is_closed or response.is_stream_consumed:
        return None
    return frames_of(response)


def _by_sdk(cls: Any, twin: Any) -> Any:
    """Let the SDK's own reader read on, as if it had from the first byte: a stream that was closed since fails where it is read."""
    twin.response.is_stream_consumed = twin.response.is_closed = False
    return cls.__stream__(twin)


def _raises(twin: Any) -> bool:
    """Tell whether the adapter's own bugs are to be raised."""
    ticket = ticket_of(twin.response.request)
    return ticket is not None and ticket.router.settings.on_bug == "raise"


def _named(twin: Any, chunk: ChatCompletionChunk) -> bool:
    """Let the chunks of a stream be known by its first one; return whether there is no more to do."""
    try:
        decisions.name_chunk(twin.response, chunk)
    except Exception:  # the answer is worth more than what is known of it
        if _raises(twin):
            raise
    return True


def read(twin: Any) -> Iterator[ChatCompletionChunk]:
    """Read a stream; `twin` is one like it, that the reader may hold."""
    reading: Any = None
    made: list[ChatCompletionChunk] = []
    try:
        frames: Frames | None = _frames(twin.response)
        if frames is None:
            yield from openai.Stream.__stream__(twin)
            return
        twin.response.is_stream_consumed = True
        build, named = Building().chunk, False
        while (batch := frames.chunks()) is not None:
            batch.reverse()
            while batch:
                frame = batch.pop()
                try:
                    one = build(frame)
                except Exception:  # the SDK makes the same
                    if _raises(twin):
                        raise
                    one = None
                if one is None:
                    frames.put_back(frame)
                    reading = reading or _by_sdk(openai.Stream, twin)
                    if (one := next(reading, None)) is None:
                        return
                named = named or _named(twin, one)
                made.append(one)
                del one, frame  # while it waits, a stream holds nothing of what it gave
                yield made.pop()
        yield from reading or _by_sdk(openai.Stream, twin)
    except openai.OpenAIError:
        raise
    except Exception as error:
        if not is_bug(error) or _raises(twin):
            raise
        raise api_error(error, twin.response) from error
    finally:
        if reading is not None:
            reading.close()
        twin.response.close()


async def aread(twin: Any) -> AsyncIterator[ChatCompletionChunk]:  # noqa: C901  # as `read`
    """Read an async stream. See `read`."""
    reading: Any = None
    made: list[ChatCompletionChunk] = []
    try:
        frames: AFrames | None = _frames(twin.response)
        if frames is None:
            async for chunk in openai.AsyncStream.__stream__(twin):
                yield chunk
            return
        twin.response.is_stream_consumed = True
        build, named = Building().chunk, False
        while (reading_on := frames.chunks()) is not None:
            try:
                batch = await reading_on
            except StopAsyncIteration:
                break
            except Exception as error:  # noqa: BLE001  # the SDK's own reader raises it
                frames.failed(error)
                break
            del reading_on
            batch.reverse()
            while batch:
                frame = batch.pop()
                try:
                    one = build(frame)
                except Exception:  # the SDK makes the same
                    if _raises(twin):
                        raise
                    one = None
                if one is None:
                    frames.put_back(frame)
                    reading = reading or _by_sdk(openai.AsyncStream, twin)
                    if (one := await anext(reading, None)) is None:
                        return
                named = named or _named(twin, one)
                made.append(one)
                del one, frame
                yield made.pop()
        async for chunk in reading or _by_sdk(openai.AsyncStream, twin):
            yield chunk
    except openai.OpenAIError:
        raise
    except Exception as error:
        if not is_bug(error) or _raises(twin):
            raise
        raise api_error(error, twin.response) from error
    finally:
        await twin.response.aclose()
