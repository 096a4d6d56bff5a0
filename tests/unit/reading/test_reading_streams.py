"""The iterators of `read()`: however they end, the source is closed and nothing is left behind."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import openai
import pytest

import adapter
from adapter import Finished, TextDelta, read
from tests.support import answer_forms
from tests.support.answer_forms import AnswerParts
from tests.support.http import helpers_of

SAID = AnswerParts(("One ", "two ", "three."))
LINES = {"chat": answer_forms.chunks(SAID), "responses": answer_forms.events(SAID)}
each_api = pytest.mark.parametrize("api", ["chat", "responses"])


class Source:
    """An iterator that records when it is closed."""

    def __init__(self, lines: list[Any], error: Exception | None = None) -> None:
        self.lines = iter(lines)
        self.error = error
        self.closed = 0

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        if self.error is not None:
            raise self.error
        return next(self.lines)

    def close(self) -> None:
        self.closed += 1


class AsyncSource(Source):
    """The same, async; closed like async generators or like the SDK's streams."""

    def __aiter__(self) -> AsyncIterator[Any]:
        return self

    async def __anext__(self) -> Any:
        try:
            return next(self)
        except StopIteration:
            raise StopAsyncIteration from None

    async def aclose(self) -> None:
        self.closed += 1


class SdkLike(AsyncSource):
    aclose = None  # type: ignore[assignment]

    async def close(self) -> None:  # type: ignore[override]
        self.closed += 1


class Bare:
    """An async iterator that can't be closed."""

    def __init__(self, lines: list[Any]) -> None:
        self.lines = iter(lines)

    def __aiter__(self) -> AsyncIterator[Any]:
        return self

    async def __anext__(self) -> Any:
        try:
            return next(self.lines)
        except StopIteration:
            raise StopAsyncIteration from None


def to_the_end(events: Any) -> None:
    assert isinstance(list(events)[-1], Finished)


def in_a_block(events: Any) -> None:
    with events:
        assert next(events) == TextDelta("One ")


def by_close(events: Any) -> None:
    assert next(events) == TextDelta("One ")
    events.close()
    events.close()
    assert list(events) == []


def before_its_first_event(events: Any) -> None:
    events.close()
    assert list(events) == []


def by_break(events: Any) -> None:
    for _ in events:
        break


def by_an_error_of_the_caller(events: Any) -> None:
    def reading() -> None:
        with events:
            for _ in events:
                raise KeyError

    with pytest.raises(KeyError):
        reading()


LEAVING = [
    to_the_end,
    in_a_block,
    by_close,
    before_its_first_event,
    by_break,
    by_an_error_of_the_caller,
]


@each_api
@pytest.mark.parametrize("leave", LEAVING)
def test_sync(api: str, leave: Callable[[Any], None]) -> None:
    source = Source(LINES[api])
    leave(read(source))
    assert source.closed > 0


@each_api
@pytest.mark.parametrize("leave", LEAVING)
def test_the_sdks_streams(api: str, leave: Callable[[Any], None]) -> None:
    upstream = answer_forms.Upstream(answer_forms.sse(LINES[api]))
    made = answer_forms.client(upstream)
    if api == "chat":
        leave(read(made.chat.completions.create(model="m", messages=[], stream=True)))
    else:
        leave(read(made.responses.create(model="m", input="…", stream=True)))
    assert upstream.bodies[0].closed > 0


@each_api
@pytest.mark.parametrize("leave", LEAVING)
def test_the_sdks_helpers(api: str, leave: Callable[[Any], None]) -> None:
    upstream = answer_forms.Upstream(answer_forms.sse(LINES[api]))
    made = answer_forms.client(upstream)
    manager = (
        helpers_of(made).stream(model="m", messages=[])
        if api == "chat"
        else made.responses.stream(model="m", input="…")
    )
    leave(read(manager.__enter__()))
    assert upstream.bodies[0].closed > 0


async def aend(events: Any) -> None:
    seen = [event async for event in events]
    assert isinstance(seen[-1], Finished)


async def ablock(events: Any) -> None:
    async with events:
        assert await anext(events) == TextDelta("One ")


async def aclose(events: Any) -> None:
    assert await anext(events) == TextDelta("One ")
    await events.aclose()
    await events.close()
    assert [event async for event in events] == []


async def abefore(events: Any) -> None:
    await events.aclose()
    assert [event async for event in events] == []


async def abreak(events: Any) -> None:
    async for _ in events:
        break
    del events
    await asyncio.sleep(0.01)  # the loop closes abandoned generators


async def aerror(events: Any) -> None:
    async def reading() -> None:
        async with events:
            async for _ in events:
                raise KeyError

    with pytest.raises(KeyError):
        await reading()


ALEAVING = [aend, ablock, aclose, abefore, abreak, aerror]


@each_api
@pytest.mark.parametrize("kind", [AsyncSource, SdkLike])
@pytest.mark.parametrize("leave", ALEAVING)
async def test_async(api: str, leave: Callable[[Any], Any], kind: type[Source]) -> None:
    source: Any = kind(LINES[api])
    await leave(read(source))
    assert source.closed > 0


@each_api
@pytest.mark.parametrize("leave", ALEAVING)
async def test_async_without_a_close(api: str, leave: Callable[[Any], Any]) -> None:
    await leave(read(Bare(LINES[api])))


@each_api
@pytest.mark.parametrize("leave", ALEAVING)
async def test_the_sdks_async_streams(api: str, leave: Callable[[Any], Any]) -> None:
    upstream = answer_forms.Upstream(answer_forms.sse(LINES[api]))
    made = answer_forms.client(upstream, openai.AsyncOpenAI)
    if api == "chat":
        stream = await made.chat.completions.create(model="m", messages=[], stream=True)
    else:
        stream = await made.responses.create(model="m", input="…", stream=True)
    await leave(read(stream))
    assert upstream.bodies[0].closed > 0


@each_api
async def test_a_stream_that_fails_is_closed(api: str) -> None:
    for source in (Source([]), Source(LINES[api][:3]), Source([], OSError("closed"))):
        with pytest.raises((adapter.StreamTruncated, OSError)):
            list(read(source))
        assert source.closed > 0
    for asource in (
        AsyncSource([]),
        AsyncSource(LINES[api][:3]),
        AsyncSource([], OSError("closed")),
    ):
        with pytest.raises((adapter.StreamTruncated, OSError)):
            [event async for event in read(asource)]
        assert asource.closed > 0


@each_api
async def test_a_task_that_is_cancelled(api: str) -> None:
    closed = asyncio.Event()

    async def slow() -> AsyncIterator[Any]:
        try:
            for line in LINES[api][:-3]:
                yield line
            await asyncio.sleep(60)
        finally:
            closed.set()

    async def reading() -> None:
        async for _ in read(slow()):
            pass

    task = asyncio.create_task(reading())
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert closed.is_set()


@each_api
def test_the_end_comes_after_the_source_has_ended(api: str) -> None:
    # Only then can its connection be reused.
    source = Source(LINES[api])
    for event in read(source):
        if isinstance(event, Finished):
            assert next(source.lines, None) is None


@each_api
def test_a_file_of_lines_can_be_read_twice(api: str) -> None:
    lines = LINES[api]
    assert list(read(lines)) == list(read(tuple(lines))) == list(read(iter(lines)))


def test_closing_while_a_thread_reads_closes_the_source() -> None:
    class Source:
        closed = 0

        def __iter__(self) -> Any:
            yield {"choices": [{"index": 0, "delta": {"content": "a"}}]}
            events.close()  # as from another thread
            yield {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}

        def close(self) -> None:
            self.closed += 1

    source = Source()
    events = read(source)  # type: ignore[call-overload]  # anything that can be iterated
    assert [type(event).__name__ for event in events] == ["TextDelta", "Finished"]
    assert source.closed


async def test_closing_while_a_task_reads_closes_the_source() -> None:
    waiting, go_on = asyncio.Event(), asyncio.Event()

    class Source:
        closed = 0

        async def __aiter__(self) -> Any:
            yield {"choices": [{"index": 0, "delta": {"content": "a"}}]}
            waiting.set()
            await go_on.wait()

        async def aclose(self) -> None:
            self.closed += 1
            go_on.set()

    source = Source()
    events = read(source)  # type: ignore[call-overload]

    async def reading() -> None:
        async for _ in events:
            pass

    task = asyncio.create_task(reading())
    await waiting.wait()
    await events.aclose()
    assert source.closed
    with pytest.raises(adapter.StreamTruncated):
        await task
