"""The measurements: each returns its rows, medians of rounds interleaved with the native SDK."""

from __future__ import annotations

import asyncio
import gc
import json
import statistics
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from .clients import (
    CLIENT,
    NATIVE,
    OFF,
    RESPONSES,
    TRANSPORT,
    Work,
    client,
    history,
    opened,
    question,
    read_async,
    texts,
    whole,
)
from .server import Server, words


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the table: a figure with its unit, its ratio to native chat, and its goals."""

    what: str
    who: str
    figure: float
    unit: str
    ratio: float | None = None
    reach: str = ""
    aim: str = ""
    met: bool | None = None


def interleaved(
    works: dict[str, Work], rounds: int, clock: Callable[[], float] = time.process_time
) -> dict[str, tuple[float, float]]:
    """Run the works in turns; return the medians of each one's seconds and ratios to the first."""
    for work in works.values():
        work()
    taken: dict[str, list[float]] = {name: [] for name in works}
    names = list(works)
    gc.collect()
    for number in range(rounds):
        for name in names if number % 2 else reversed(names):
            began = clock()
            works[name]()
            taken[name].append(clock() - began)
    first = taken[names[0]]
    return {
        name: (
            statistics.median(values),
            statistics.median([a / b for a, b in zip(values, first, strict=True)]),
        )
        for name, values in taken.items()
    }


def _goal(
    row: Row, reach: float | None = None, aim: float | None = None, *, absolute: bool = False
) -> Row:
    found = row.figure if absolute else row.ratio
    if reach is None or found is None:
        return row
    unit = f" {row.unit}" if absolute else "×"
    return replace(
        row,
        reach=f"≤ {reach:g}{unit}",
        aim=f"≤ {aim:g}{unit}" if aim is not None else "",
        met=found <= reach,
    )


def streams(server: Server, rounds: int, *, asynchronous: bool, paced: bool = False) -> list[Row]:
    """CPU per delta of a stream, one event per read; `paced` waits a millisecond between events."""
    count = 200
    bench_header = f"n{count}-g{10 * paced}"
    expected = "".join(words(count))
    names = (NATIVE, CLIENT, TRANSPORT, OFF, RESPONSES)
    made = {
        name: client(name, server.base_url, bench_header, asynchronous=asynchronous)
        for name in names
    }
    runner = asyncio.Runner()

    def read(name: str) -> Work:
        if asynchronous:
            return lambda: check(runner.run(read_async(name, opened(name, made[name]))))
        return lambda: check("".join(texts(name, opened(name, made[name]))))

    def check(text: str) -> None:
        assert text == expected

    found = interleaved({name: read(name) for name in names}, rounds)
    for one in made.values() if asynchronous else ():
        runner.run(one.close())
    runner.close()
    goals = {} if paced else {CLIENT: (0.25, 0.18), TRANSPORT: (1.10, 1.03), OFF: (1.02, 1.00)}
    kind = "async" if asynchronous else "sync"
    what = f"{kind} stream of {count} deltas{', one per ms' * paced}, CPU per delta"
    return [
        _goal(Row(what, name, seconds / count * 1e6, "µs", ratio), *goals.get(name, ()))
        for name, (seconds, ratio) in found.items()
    ]


def wholes(server: Server, rounds: int, messages: int) -> list[Row]:
    """CPU of a call for a whole answer, by messages of history."""
    bench_header = "n100-g0"
    conversation = question() if messages == 1 else history(messages)
    names = (NATIVE, CLIENT, TRANSPORT, OFF, RESPONSES)
    works = {
        name: whole(name, client(name, server.base_url, bench_header), conversation)
        for name in names
    }
    found = interleaved(works, rounds)
    goals = {1: (0.98, 0.80), 100: (0.25, 0.12), 1000: (0.06, 0.04)}
    what = f"whole answer, {messages} message{'s' * (messages > 1)}, CPU per call"
    rows = []
    for name, (seconds, ratio) in found.items():
        row = Row(what, name, seconds * 1e6, "µs", ratio)
        if name == CLIENT:
            row = _goal(row, *goals[messages])
        elif name == TRANSPORT:
            row = _goal(row, 1.20, 1.10)
        elif name == OFF:
            row = _goal(row, 1.02, 1.00)
        rows.append(row)
    return rows


def first_tokens(server: Server, rounds: int) -> list[Row]:
    """Wall time from the call to the first text delta."""
    names = (NATIVE, CLIENT, TRANSPORT)
    made = {name: client(name, server.base_url, "n4-g10") for name in names}

    def first(name: str) -> float:
        began = time.perf_counter()
        stream = opened(name, made[name])
        reading = texts(name, stream)
        next(reading)
        took = time.perf_counter() - began
        for _ in reading:
            pass
        return took

    taken: dict[str, list[float]] = {name: [] for name in names}
    for name in names:
        first(name)
    for number in range(rounds):
        for name in names if number % 2 else reversed(names):
            taken[name].append(first(name))
    goals = {CLIENT: (1.0, 0.9), TRANSPORT: (1.25, 1.1)}
    rows = []
    for name, values in taken.items():
        ratio = statistics.median([a / b for a, b in zip(values, taken[NATIVE], strict=True)])
        row = Row("time to first token", name, statistics.median(values) * 1e6, "µs", ratio)
        rows.append(_goal(row, *goals.get(name, ())))
    return rows


def connections(server: Server) -> list[Row]:
    """Connections opened by twenty consecutive sync streams."""
    rows = []
    for name in (NATIVE, CLIENT, TRANSPORT):
        made = client(name, server.base_url, "n20-g0")
        before = server.connections()
        for _ in range(20):
            for _text in texts(name, opened(name, made)):
                pass
        row = Row("connections for 20 sync streams", name, server.connections() - before, "")
        rows.append(row if name == NATIVE else _goal(row, 1, 1, absolute=True))
    return rows


def imports(rounds: int) -> list[Row]:
    """CPU of an import beyond the SDK's own, each in a new process.

    The SDK's is that of a client with its chat resource, which any program loads.
    """
    code = """if True:
        import time, json, sys
        t = [time.process_time()]
        import openai; openai.OpenAI(api_key="k").chat.completions; import openai.types.chat
        t.append(time.process_time())
        import adapter; t.append(time.process_time())
        from adapter import OpenAI; t.append(time.process_time())
        print(json.dumps([b - a for a, b in zip(t, t[1:])]))
    """
    took = []
    for _ in range(rounds):
        done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)  # noqa: S603  # a fixed command
        took.append(json.loads(done.stdout))
    sdk, bare, clients = (statistics.median(values) for values in zip(*took, strict=True))
    return [
        Row("import", "import openai, with its chat client", sdk * 1e3, "ms"),
        _goal(Row("import", "import adapter, beyond it", bare * 1e3, "ms", bare / sdk), 0.05, 0.01),
        _goal(
            Row(
                "import",
                "from adapter import OpenAI, beyond both",
                clients * 1e3,
                "ms",
                clients / sdk,
            ),
            0.10,
        ),
    ]


def memory(server: Server, count: int, messages: int) -> list[Row]:
    """Memory per open stream, by tracemalloc, by messages of history."""
    sizes: dict[str, float] = {}
    for name in (
        (NATIVE, CLIENT, TRANSPORT) if messages > 1 else (NATIVE, CLIENT, TRANSPORT, RESPONSES)
    ):
        sizes[name] = asyncio.run(_size_per_stream(name, server, count, messages))
    rows = []
    what = f"memory of {count} open streams, {messages} message{'s' * (messages > 1)}, each"
    for name, size in sizes.items():
        row = Row(what, name, size / 1024, "KiB", size / sizes[NATIVE])
        goals = {CLIENT: (1.0, 0.9), TRANSPORT: (1.2, 1.0)}
        rows.append(_goal(row, *goals.get(name, ())))
    return rows


async def _size_per_stream(name: str, server: Server, count: int, messages: int) -> float:
    async with client(name, server.base_url, "n40-g0-hold", asynchronous=True) as made:

        async def begin() -> Any:
            stream = await opened(name, made, question() if messages == 1 else history(messages))
            for _ in range(10):
                await anext(stream)
            return stream

        kept = [await begin()]
        gc.collect()
        tracemalloc.start()
        kept += await asyncio.gather(*(begin() for _ in range(count)))
        gc.collect()
        size = tracemalloc.get_traced_memory()[0]
        tracemalloc.stop()
        for stream in kept:
            await stream.close()
        return size / count


def concurrent(server: Server, count: int) -> list[Row]:
    """Many concurrent async streams in one process."""

    async def all_at_once(name: str) -> None:
        async with client(name, server.base_url, "n50-g200", asynchronous=True) as made:
            found = await asyncio.gather(
                *(read_async(name, opened(name, made)) for _ in range(count))
            )
            assert set(found) == {"".join(words(50))}

    rows = []
    native = 0.0
    for name in (NATIVE, CLIENT, TRANSPORT):
        began, cpu = time.perf_counter(), time.process_time()
        asyncio.run(all_at_once(name))
        took, cpu = time.perf_counter() - began, time.process_time() - cpu
        native = native or cpu
        what = f"{count} async streams of 50 deltas at once"
        rows.append(Row(f"{what}, CPU", name, cpu, "s", cpu / native))
        rows.append(Row(f"{what}, until the last ended", name, took, "s"))
    return rows
