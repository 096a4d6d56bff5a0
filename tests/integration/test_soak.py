"""Thousands of streams, left in every way: afterwards nothing is left of them.

A third is read whole, a third is left early (break, close, the end of a with block), a third is
cancelled (tasks) or closed by another thread. `make soak` is the full form, ten thousand of either
kind, with its figures; a short one runs with the tests.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import queue
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

import openai
import pytest

import adapter
from adapter._runtime import known_ids
from adapter._sdk.compat import SUPPORTED
from tests.support.http import LEFT_OPEN, http, needs
from tests.support.process_resources import Held, Ledger, figures, listening, settled
from tests.support.upstream import TEXT, Upstream

FULL = int(os.environ.get("SOAK_STREAMS", "0"))
STREAMS = FULL or 400
ROUNDS = 10
THREADS = 16
AT_ONCE = 1000 if FULL else 200
NOT_RAISED = (openai.APIError, http.TransportError, http.StreamError)
"""What a reader may get whose stream another thread closes."""


@cache
def _certificates() -> ssl.SSLContext:
    return ssl.create_default_context()


@pytest.fixture(autouse=True)
def bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the table of the last calls be full after the first round, so that it doesn't grow."""
    monkeypatch.setattr(known_ids, "_MAX_BY_ID", 20)


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    with Upstream() as running:
        yield running


def _given(upstream: Upstream, kind: Any) -> dict[str, Any]:
    limits = http.Limits(max_connections=AT_ONCE, max_keepalive_connections=100)  # the SDK's own
    http_client = kind(verify=_certificates(), timeout=300, limits=limits)
    return {
        "base_url": upstream.base_url,
        "api_key": "fake-key",
        "max_retries": 0,
        "timeout": 300,
        "http_client": http_client,
    }


def _sync(upstream: Upstream) -> adapter.OpenAI:
    return adapter.OpenAI(
        **_given(upstream, http.Client), settings=adapter.Settings(backend="responses")
    )


def _async(upstream: Upstream) -> adapter.AsyncOpenAI:
    return adapter.AsyncOpenAI(
        **_given(upstream, http.AsyncClient), settings=adapter.Settings(backend="responses")
    )


def _call(model: str, number: int) -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": f"n{number}"}], "stream": True}


def _text(chunk: Any) -> str:
    return chunk.choices[0].delta.content or "" if chunk.choices else ""


def _expected(number: int) -> str:
    return TEXT.replace("@@", f"n{number}")


def _pool(client: Any) -> Any:
    return client._client._transport._pool


def _idle(client: Any) -> tuple[int, int]:
    """Return how many connections the pool holds, and how many of them are idle."""
    connections = _pool(client).connections
    # Classic httpx keeps a connection whose request was cancelled before it was open, and never
    # uses it; natively too.
    unused = sum("NEW" in one.info() for one in connections) if http.__name__ == "httpx" else 0
    return len(connections), sum(one.is_idle() for one in connections) + unused


# Threads with one client


def _one(client: Any, number: int, closer: Callable[[Any], None]) -> str:
    """Use one stream in the way of its number; return how it ended."""
    match number % 9:
        case 0 | 1 | 2:
            stream = client.chat.completions.create(
                **_call(["short", "pieces", "short"][number % 3], number)
            )
            assert "".join(map(_text, stream)) == _expected(number)
            return "whole"
        case 3:
            stream = client.chat.completions.create(**_call("held", number))
            for _ in stream:
                break
            if not SUPPORTED:
                # The SDK's own stream is closed by the garbage collector, which deadlocks inside
                # the pool's book-keeping (httpcore).
                stream.close()
            return "break"
        case 4:
            stream = client.chat.completions.create(**_call("endless", number))
            assert f"n{number}" in _text(next(stream)) + _text(next(stream))
            stream.close()
            return "closed"
        case 5:
            with client.chat.completions.create(**_call("pieces", number)) as stream:
                next(stream)
            return "with"
        case 6:
            stream = client.chat.completions.create(**_call("held", number))
            next(stream)
            closer(stream)  # by another thread, between two reads
            with contextlib.suppress(*NOT_RAISED):
                assert "." not in "".join(map(_text, stream))
            return "closed from outside"
        case _:
            stream = client.chat.completions.create(**_call("endless", number))
            next(stream)
            timer = threading.Thread(target=stream.close)
            with contextlib.suppress(*NOT_RAISED):
                for seen, _ in enumerate(stream):
                    if seen == number % 5:
                        timer.start()  # while this one reads on
            timer.join(10)
            return "closed from outside"


class _Closer:
    """A thread that closes streams of others."""

    def __init__(self) -> None:
        self._given: queue.Queue[tuple[Any, threading.Event] | None] = queue.Queue()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def __call__(self, stream: Any) -> None:
        done = threading.Event()
        self._given.put((stream, done))
        assert done.wait(10)

    def _run(self) -> None:
        while (given := self._given.get()) is not None:
            given[0].close()
            given[1].set()

    def stop(self) -> None:
        self._given.put(None)
        self._thread.join(10)


def test_threads_leave_nothing_behind(upstream: Upstream) -> None:
    ledger = Ledger(STREAMS // ROUNDS)
    before = Held.now()
    began = time.monotonic()
    pool, left = (0, 0), 0
    with listening(ledger), _sync(upstream) as client:
        closer = _Closer()
        with ThreadPoolExecutor(THREADS) as threads:
            for round_ in range(ROUNDS + 1):  # one to warm up
                numbers = range(round_ * ledger.per_round, (round_ + 1) * ledger.per_round)
                ends = list(threads.map(lambda number: _one(client, number, closer), numbers))
                gc.collect()  # replies and their streams hold one another
                pool = _idle(client)
                left = settled(upstream, pool[0])
                _pool(client).close()  # their number is chance, and each takes memory
                if round_:
                    ledger.ends.update(ends)
                    ledger.rounds.append(Held.now())
        closer.stop()
    after = Held.now()
    print(
        figures(
            "threads",
            ledger,
            time.monotonic() - began,
            upstream,
            kept=pool[0],
            held=(before, after),
        )
    )
    assert ledger.complaints == []
    assert ledger.ends.total() == ledger.per_round * ROUNDS
    assert pool[0] == pool[1] == left  # only what the pool keeps to use again
    assert pool[0] <= THREADS
    assert settled(upstream, 0) == 0
    assert (after.files, after.threads) == (before.files, before.threads)
    assert ledger.flat(), [held.blocks for held in ledger.rounds]


# Tasks


async def _aone(client: Any, number: int) -> str:
    match number % 9:
        case 0 | 1 | 2:
            stream = await client.chat.completions.create(
                **_call(["short", "pieces", "short"][number % 3], number)
            )
            assert "".join([_text(chunk) async for chunk in stream]) == _expected(number)
            return "whole"
        case 3:
            async for _ in await client.chat.completions.create(**_call("held", number)):
                break
            return "break"
        case 4:
            stream = await client.chat.completions.create(**_call("endless", number))
            assert f"n{number}" in _text(await anext(stream)) + _text(await anext(stream))
            await stream.close()
            return "closed"
        case 5:
            async with await client.chat.completions.create(**_call("pieces", number)) as stream:
                await anext(stream)
            return "with"
        case kind:
            return await _cancelled(client, number, ["silent", "held", "endless"][kind - 6])


async def _cancelled(client: Any, number: int, model: str) -> str:
    seen = 0
    enough = asyncio.Event()

    async def read() -> None:
        nonlocal seen
        async for _ in await client.chat.completions.create(**_call(model, number)):
            seen += 1
            if seen == 2:
                enough.set()

    task = asyncio.create_task(read())
    if model == "silent":
        for _ in range(number % 40):  # at any point: connecting, sending, waiting
            await asyncio.sleep(0)
    else:
        await enough.wait()
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    assert task.cancelled()
    return "cancelled"


async def _rounds(client: Any, ledger: Ledger, upstream: Upstream) -> tuple[int, int]:
    at_once = asyncio.Semaphore(min(AT_ONCE, ledger.per_round))
    pool = (0, 0)

    async def limited(number: int) -> str:
        async with at_once:
            return await _aone(client, number)

    for round_ in range(ROUNDS + 1):
        numbers = range(round_ * ledger.per_round, (round_ + 1) * ledger.per_round)
        ends = await asyncio.gather(*map(limited, numbers))
        gc.collect()  # replies and their streams hold one another
        pool = await _quiet(client, upstream)
        await _pool(client).aclose()
        if round_:
            ledger.ends.update(ends)
            ledger.rounds.append(Held.now())
    return pool


async def _quiet(client: Any, upstream: Upstream) -> tuple[int, int]:
    """Wait until the loop has closed dropped streams, or some time; return what is open."""
    pool = _idle(client)
    for _ in range(200):
        if pool[0] == pool[1]:
            break
        await asyncio.sleep(0.05)
        pool = _idle(client)
    assert await asyncio.to_thread(settled, upstream, pool[0]) == pool[0]
    return pool


@needs(LEFT_OPEN == 0, "streams that are closed when async code has dropped them")
def test_tasks_leave_nothing_behind(upstream: Upstream) -> None:
    ledger = Ledger(STREAMS // ROUNDS)
    before = Held.now()
    began = time.monotonic()

    async def main() -> tuple[int, int]:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(
            lambda _, context: ledger.complaints.append(f"loop: {context.get('exception')!r}")
        )
        async with _async(upstream) as client:
            pool = await _rounds(client, ledger, upstream)
            ledger.tasks = len(asyncio.all_tasks()) - 1  # but for this one
        return pool

    with listening(ledger):
        pool = asyncio.run(main())
    after = Held.now()
    print(
        figures(
            "tasks", ledger, time.monotonic() - began, upstream, kept=pool[0], held=(before, after)
        )
    )
    assert ledger.complaints == []
    assert ledger.tasks == 0
    assert ledger.ends.total() == ledger.per_round * ROUNDS
    assert pool[0] == pool[1] <= 100
    assert settled(upstream, 0) == 0
    assert (after.files, after.threads) == (before.files, before.threads)
    assert ledger.flat(), [held.blocks for held in ledger.rounds]


# All at once


def test_a_thousand_streams_at_once() -> None:
    """Upstream continues none of them before all have begun."""
    ledger = Ledger()
    before = Held.now()

    async def main(upstream: Upstream) -> list[str]:
        async with _async(upstream) as client:

            async def one(number: int) -> str:
                stream = await client.chat.completions.create(**_call(f"gate-{AT_ONCE}", number))
                return "".join([_text(chunk) async for chunk in stream])

            return await asyncio.wait_for(asyncio.gather(*map(one, range(AT_ONCE))), 120)

    with Upstream() as upstream, listening(ledger):
        texts = asyncio.run(main(upstream))
        peak = upstream.stats()["peak"]
        assert settled(upstream, 0) == 0
    print(
        f"\n{AT_ONCE} streams at once: {peak} connections at the peak, "
        f"complaints {len(ledger.complaints)}"
    )
    assert texts == [_expected(number) for number in range(AT_ONCE)]
    assert peak >= AT_ONCE
    assert ledger.complaints == []
    assert Held.now().files == before.files


def test_threads_at_once(upstream: Upstream) -> None:
    count = 64

    def one(number: int) -> str:
        return "".join(map(_text, client.chat.completions.create(**_call(f"gate-{count}", number))))

    with _sync(upstream) as client, ThreadPoolExecutor(count) as threads:
        assert list(threads.map(one, range(count))) == [
            _expected(number) for number in range(count)
        ]
    assert settled(upstream, 0) == 0
