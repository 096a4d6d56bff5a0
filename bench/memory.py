"""Measure remembering and recalling by store, in microseconds, beside a round trip to Redis.

    python -m bench.memory [how many turns to remember, to see the limit of the memory]

In a tool loop a call recalls the turns of its history and remembers its own. Both effects are
measured as a call performs them, with keys and serialization; each row runs by itself, and the
median counts. Times are wall time, except for `memory://`, which never waits: there they are CPU
time. The cost of Redis above a round trip is measured in turns with one, and needs `redis-server`
on the PATH.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import gc
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from adapter._exchange.effects import Recall, Remember
from adapter._memory.in_memory import InMemoryStore
from adapter._memory.keys import make_memory_scope
from adapter._memory.service import MemoryService
from adapter.translation.reasoning.turns import MemoryEntry, RememberedTurn

_GET = b"*2\r\n$3\r\nGET\r\n$1\r\nx\r\n"
ROUNDS, CALLS = 30, 200
SCOPE = make_memory_scope("https://api.openai.com:443/v1", "", "proj_1", "Bearer key", None)
# 1,784 characters: the median of 200 recorded items.
ENCRYPTED = base64.b64encode(os.urandom(1338)).decode()


def _turn() -> RememberedTurn:
    item = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": ENCRYPTED}
    return RememberedTurn(("0" * 32,), ((item,),), None, ("fc_1",))


def _effects(k: int) -> tuple[Remember, Recall]:
    name = f"{'a' * 32}\0{k:032x}\x000"
    return Remember("gpt-5", MemoryEntry(name, _turn())), Recall("gpt-5", (name,))


@contextlib.contextmanager
def _redis() -> Iterator[str | None]:
    found = shutil.which("redis-server")
    if found is None:
        yield None
        return
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
    with subprocess.Popen([found, *options], stdout=subprocess.DEVNULL) as server:  # noqa: S603  # from the PATH
        try:
            for _ in range(500):
                with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                    break
                time.sleep(0.01)
            yield f"redis://127.0.0.1:{port}/0"
        finally:
            server.terminate()


def _sync(keeper: MemoryService) -> Callable[[list[Any]], None]:
    def perform(effects: list[Any]) -> None:
        for effect in effects:
            keeper.perform(effect, SCOPE)

    return perform


def _async(keeper: MemoryService, runner: asyncio.Runner) -> Callable[[list[Any]], None]:
    async def perform(effects: list[Any]) -> None:
        for effect in effects:
            await keeper.aperform(effect, SCOPE)

    return lambda effects: runner.run(perform(effects))


def _round_trips(url: str) -> Callable[[list[Any]], None]:
    """Get values of the same size from the same server over a bare socket."""
    connection, reply_length = _connect(url)

    def ask(effects: list[Any]) -> None:
        for _ in effects:
            connection.sendall(_GET)
            got = 0
            while got < reply_length:
                got += len(connection.recv(65536))

    return ask


def _connect(url: str) -> tuple[socket.socket, int]:
    """Connect and set a value; return the socket and the length of a reply with the value."""
    host, _, port = url.removeprefix("redis://").partition("/")[0].partition(":")
    connection = socket.create_connection((host, int(port)))
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    value = ENCRYPTED.encode()
    connection.sendall(b"*3\r\n$3\r\nSET\r\n$1\r\nx\r\n$%d\r\n%b\r\n" % (len(value), value))
    assert connection.recv(100) == b"+OK\r\n"
    return connection, len(b"$%d\r\n" % len(value)) + len(value) + 2


def _async_round_trips(url: str, runner: asyncio.Runner) -> Callable[[list[Any]], None]:
    """The same in an event loop."""
    connection, reply_length = _connect(url)
    connection.setblocking(False)

    async def ask(effects: list[Any]) -> None:
        loop = asyncio.get_running_loop()
        for _ in effects:
            await loop.sock_sendall(connection, _GET)
            got = 0
            while got < reply_length:
                got += len(await loop.sock_recv(connection, 65536))

    return lambda effects: runner.run(ask(effects))


def _microseconds(
    work: Callable[[list[Any]], None], effects: list[Any], clock: Callable[[], float]
) -> float:
    began = clock()
    work(effects)
    return (clock() - began) / len(effects) * 1e6


def _above_round_trip(
    work: Callable[[list[Any]], None], round_trip: Callable[[list[Any]], None], effects: list[Any]
) -> list[float]:
    """Measure in turns with a bare round trip; a server that was idle longer replies later."""
    clock = time.perf_counter
    above = []
    for effect in effects:
        one = [effect]
        above.append(_microseconds(work, one, clock) - _microseconds(round_trip, one, clock))
    return above


def costs() -> None:
    """Print the cost of remembering and recalling."""
    with tempfile.TemporaryDirectory() as folder, _redis() as url, asyncio.Runner() as runner:
        addresses = {
            "memory://": "memory://",
            "sqlite:///": f"sqlite:///{Path(folder) / 'bench.db'}",
        }
        addresses |= {"redis://": url} if url is not None else {}
        rows: dict[str, Callable[[list[Any]], None]] = {}
        for name, address in addresses.items():
            keeper = MemoryService(address, scope_name=None, keys=(), seconds=5)
            rows[name], rows[f"{name}, async"] = _sync(keeper), _async(keeper, runner)
        if url is not None:
            rows["one round trip to that Redis"] = _round_trips(url)
            rows["one round trip, async"] = _async_round_trips(url, runner)
        gc.disable()  # as timeit does: the garbage is the benchmark's own
        effects = [list(some) for some in zip(*[_effects(k) for k in range(CALLS)], strict=True)]
        print(f"{'µs, median of ' + str(ROUNDS):<36} {'remember':>9} {'recall':>9}")
        for name, work in rows.items():
            clock = time.thread_time if name.startswith("memory") else time.perf_counter
            taken = [[_microseconds(work, some, clock) for _ in range(ROUNDS)] for some in effects]
            _show(name, taken)
        if url is not None:
            for name, round_trip in (
                ("redis://", "one round trip to that Redis"),
                ("redis://, async", "one round trip, async"),
            ):
                _show(
                    f"{name}, above a round trip",
                    [_above_round_trip(rows[name], rows[round_trip], some) for some in effects],
                )
        gc.enable()


def _show(name: str, taken: list[list[float]]) -> None:
    print(f"{name:<36} " + " ".join(f"{statistics.median(values):9.1f}" for values in taken))


def bounds(count: int) -> None:
    """Print how much memory of the process `count` remembered turns take."""
    store = InMemoryStore(count=10_000, size=64 * 1024 * 1024, age=86_400)
    tracemalloc.start()
    for k in range(count):
        item = {
            "type": "reasoning",
            "id": "rs_1",
            "summary": [],
            "encrypted_content": f"{k:08d}" * 223,
        }
        turn = RememberedTurn((f"{k:032x}",), ((item,),), None, ("fc_1",))
        store.put(f"scope:-:{k:032x}", turn, turn.size)
        if (k + 1) in (10_000, 100_000, count):
            current, peak = tracemalloc.get_traced_memory()
            print(
                f"{k + 1:>9,} turns remembered: {current / 2**20:6.1f} MiB, "
                f"{peak / 2**20:6.1f} at most, {len(store._entries):,} turns"
            )
    tracemalloc.stop()


if __name__ == "__main__":
    costs()
    bounds(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000)
