"""Providers of feature flags: slow, hanging and async ones, and a real one over HTTP."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import adapter
from adapter._exchange.effects import FlagQuery
from adapter._routing import flags, rollout
from adapter._util.worker_threads import WorkerThreads
from tests.support import ways_in
from tests.support.answers import CHAT, RESPONSES, Sdk, both, paths, response, sdk
from tests.support.flagging import (
    LONG,
    QUESTION,
    SHORT,
    AsyncProvider,
    Provider,
    client_giving,
    client_of,
    fresh_flags,
    in_memory,
    settings,
    unready,
)
from tests.support.loopback import Loopback, Reply, Request
from tests.support.ways_in import WayIn, each_way_in

__all__ = ["fresh_flags", "sdk"]

pytestmark = pytest.mark.usefixtures("fresh_flags")

KEYED = rollout.ServiceHash("adapter")

both_sides = ways_in.both(ways_in.Reply.of_json(response()))


# Slow providers


@pytest.fixture
def stuck() -> Iterator[Any]:
    """Yield a client whose provider blocks until the test ends, and an event for its start."""
    go_on, begun = threading.Event(), threading.Semaphore(0)

    def wait(_: Any) -> str:
        begun.release()
        go_on.wait(LONG)
        return "responses"

    made = client_of(Provider(wait))
    made.begun, made.go_on = begun, go_on
    yield made
    go_on.set()
    for thread in threading.enumerate():
        if thread.name == "adapter-flag":
            thread.join(LONG)


def test_a_blocked_provider_delays_no_call(sdk: Sdk, stuck: Any, loopback: Loopback) -> None:
    loopback.answer = both
    result = sdk.create(sdk.client(loopback, settings(stuck, flag_timeout=SHORT)))
    assert stuck.begun.acquire(timeout=LONG)
    assert not stuck.go_on.is_set()
    made = adapter.decision(result)
    assert made is not None
    assert (made.backend, made.reason) == ("chat", "settings")


async def test_a_blocked_provider_does_not_block_the_loop(stuck: Any) -> None:
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            ticks += 1
            await asyncio.sleep(0)

    ticking = asyncio.create_task(tick())
    asking = asyncio.create_task(flags.aread_flag(stuck, QUESTION, LONG))
    assert await asyncio.to_thread(stuck.begun.acquire, timeout=LONG)
    before = ticks
    while ticks < before + 100:  # noqa: ASYNC110  # the loop must keep running
        await asyncio.sleep(0)
    assert not asking.done()
    stuck.go_on.set()
    assert await asking == "responses"
    ticking.cancel()


async def test_a_cancelled_call_stops_waiting(stuck: Any) -> None:
    asking = asyncio.create_task(flags.aread_flag(stuck, QUESTION, LONG))
    assert await asyncio.to_thread(stuck.begun.acquire, timeout=LONG)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking


def test_more_stuck_queries_than_threads(stuck: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    # A name of its own: threads of the tests before may be on their way out.
    monkeypatch.setattr(flags, "_THREADS", WorkerThreads(3, "adapter-flag-stuck"))
    assert [flags.read_flag(stuck, QUESTION, SHORT) for _ in range(3)] == [None] * 3
    assert sum(thread.name == "adapter-flag-stuck" for thread in threading.enumerate()) == 3
    # All threads are stuck: no call waits, whatever its timeout.
    assert [flags.read_flag(stuck, QUESTION, LONG) for _ in range(20)] == [None] * 20
    assert [asyncio.run(flags.aread_flag(stuck, QUESTION, LONG)) for _ in range(5)] == [None] * 5
    stuck.go_on.set()
    for thread in threading.enumerate():
        if thread.name == "adapter-flag-stuck":
            thread.join(LONG)
    assert flags.read_flag(stuck, QUESTION, LONG) == "responses"


@pytest.mark.parametrize("mode", ["threads", "tasks"])
def test_more_queries_than_threads_wait_in_a_queue(
    mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flags, "_THREADS", WorkerThreads(4, "adapter-flag"))
    client = client_of(Provider(lambda _: time.sleep(0.001) or "responses"))
    if mode == "tasks":

        async def all_() -> list[Any]:
            return await asyncio.gather(
                *(flags.aread_flag(client, QUESTION, LONG) for _ in range(200))
            )

        assert asyncio.run(all_()) == ["responses"] * 200
        return
    got: list[Any] = []
    threads = [
        threading.Thread(target=lambda: got.append(flags.read_flag(client, QUESTION, LONG)))
        for _ in range(60)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LONG)
    assert got == ["responses"] * 60


def test_a_query_that_times_out_in_the_queue_leaves_nothing_there(
    stuck: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads = WorkerThreads(2, "adapter-flag")
    monkeypatch.setattr(flags, "_THREADS", threads)
    waiting = threading.Thread(target=flags.read_flag, args=(stuck, QUESTION, LONG))
    waiting.start()  # or the provider would count as stuck
    assert stuck.begun.acquire(timeout=LONG)
    assert [flags.read_flag(stuck, QUESTION, SHORT) for _ in range(5)] == [None] * 5
    assert not threads._waiting
    stuck.go_on.set()
    waiting.join(LONG)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_process_has_threads_of_its_own() -> None:
    # In a process of its own: this one has threads, with which forking isn't safe.
    code = (
        "import os; from adapter._routing import flags\n"
        "flags._THREADS._running.update(object() for _ in range(32))\n"
        "child = os.fork()\n"
        "if child == 0: os._exit(0 if not flags._THREADS._running else 1)\n"
        "raise SystemExit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))"
    )
    environment = {"PYTHONPATH": ":".join(sys.path), "PATH": "/usr/bin"}
    assert (
        subprocess.run([sys.executable, "-c", code], check=False, env=environment).returncode == 0
    )


# Each problem is logged once, through every way in, and the settings decide

WRONG: dict[str, tuple[Callable[[], Any], str]] = {
    "a switch": (lambda: client_giving(True), "TYPE_MISMATCH"),
    "missing": (lambda: in_memory("responses", "another-flag"), "FLAG_NOT_FOUND"),
    "not ready": (lambda: unready("NOT_READY"), "PROVIDER_NOT_READY"),
    "raises": (lambda: client_of(Provider(_raise)), "GENERAL"),
    "unknown value": (lambda: client_giving("SECRET"), "an unknown value"),
    "slow": (
        lambda: client_of(Provider(lambda _: time.sleep(0.2) or "force-chat")),
        "TimeoutError",
    ),
    "slow, async": (
        lambda: client_of(AsyncProvider(lambda _: asyncio.sleep(0.2, "force-chat"))),
        "TimeoutError",
    ),
}


def _raise(_: Any) -> Any:
    raise ConnectionError("SECRET")


@each_way_in
@pytest.mark.parametrize("case", WRONG)
def test_each_problem_is_logged_once(
    case: str, way_in: WayIn, caplog: pytest.LogCaptureFixture
) -> None:
    if case == "slow, async" and not way_in.asynchronous:
        return  # there it isn't asked by that method
    make, problem = WRONG[case]
    flag_client = make()
    body = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Hi"}]}
    timeout = SHORT if case.startswith("slow") else LONG
    with caplog.at_level("WARNING", "adapter"):
        for backend in ("chat", "responses", "chat", "responses"):
            seen = way_in.create(
                body, both_sides, backend=backend, flags=flag_client, flag_timeout=timeout
            )
            seen.reraise()
            assert seen.decision is not None
            assert (seen.decision.backend, seen.decision.reason) == (backend, "settings")
    logged = [record for record in caplog.records if record.name == "adapter"]
    assert [record.levelname for record in logged] == ["WARNING"]
    assert f"({problem})" in logged[0].getMessage()
    assert "SECRET" not in logged[0].getMessage()


# Providers with async methods


async def test_an_async_provider_is_awaited() -> None:
    async def answer() -> str:
        await asyncio.sleep(0)
        return "responses"

    provider = AsyncProvider(lambda _: answer())
    assert await flags.aread_flag(client_of(provider), QUESTION, LONG) == "responses"
    assert provider.threads == [threading.current_thread().name]


async def test_a_sync_provider_runs_in_a_thread() -> None:
    provider = Provider(lambda _: "responses")
    assert await flags.aread_flag(client_of(provider), QUESTION, LONG) == "responses"
    assert provider.threads == ["adapter-flag"]


async def test_an_async_provider_that_never_answers() -> None:
    cancelled = asyncio.Event()

    async def answer() -> str:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()
        return "responses"

    assert (
        await flags.aread_flag(client_of(AsyncProvider(lambda _: answer())), QUESTION, SHORT)
        is None
    )
    assert cancelled.is_set()


async def test_a_call_that_is_cancelled_while_an_async_provider_is_asked() -> None:
    begun = asyncio.Event()

    async def answer() -> str:
        begun.set()
        await asyncio.Event().wait()
        return "responses"

    asking = asyncio.create_task(
        flags.aread_flag(client_of(AsyncProvider(lambda _: answer())), QUESTION, LONG)
    )
    await begun.wait()
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking


async def test_an_async_provider_that_raises() -> None:
    async def answer() -> str:
        raise ConnectionError

    assert (
        await flags.aread_flag(client_of(AsyncProvider(lambda _: answer())), QUESTION, LONG) is None
    )


def test_an_async_provider_in_sync_code() -> None:
    assert (
        flags.read_flag(client_of(AsyncProvider(lambda _: "responses")), QUESTION, LONG)
        == "responses"
    )


@pytest.mark.parametrize("provider", [Provider, AsyncProvider])
def test_on_trio(provider: Any) -> None:
    trio = pytest.importorskip("trio")
    made = client_of(provider(lambda _: "responses"))
    assert trio.run(flags.aread_flag, made, QUESTION, LONG) == "responses"


# A real provider, over HTTP


@pytest.fixture
def ofrep() -> Iterator[Loopback]:
    with Loopback() as server:
        yield server


def _ofrep_client(server: Loopback) -> Any:
    provider = pytest.importorskip("openfeature.contrib.provider.ofrep")
    return client_of(provider.OFREPProvider(server.url))


OFREP: dict[str, tuple[Reply, str | None]] = {
    "responses": (Reply.of_json({"key": "openai-backend", "reason": "STATIC", "variant": "on",
        "value": "responses"}), "responses"),
    "force-chat": (Reply.of_json({"key": "openai-backend", "reason": "TARGETING_MATCH",
        "variant": "x", "value": "force-chat"}),
                   "force-chat"),
    "a switch": (Reply.of_json({"key": "openai-backend", "reason": "STATIC", "variant": "on",
        "value": True}), None),
    "not found": (Reply.of_json({"key": "openai-backend", "errorCode": "FLAG_NOT_FOUND",
        "errorDetails": "no"}, 404), None),
    "unauthorised": (Reply.of_json({}, 401), None),
    "down": (Reply.of_json({}, 500), None),
    "busy": (Reply.of_json({}, 429, (("retry-after", "5"),)), None),
    "no JSON": (Reply(200, (), [b"<html>"]), None),
    "hangs up": (Reply.drop("reset"), None),
}  # fmt: skip


@pytest.mark.parametrize("mode", ["sync", "async"])
@pytest.mark.parametrize("case", OFREP)
def test_ofrep(mode: str, case: str, ofrep: Loopback) -> None:
    reply, expected = OFREP[case]
    ofrep.answer = lambda _: reply
    client = _ofrep_client(ofrep)
    try:
        question = FlagQuery("t", {"model": "gpt-4o", "stream": False})
        if mode == "sync":
            assert flags.read_flag(client, question, LONG) == expected
        else:
            assert asyncio.run(flags.aread_flag(client, question, LONG)) == expected
    finally:
        client.provider.session.close()
    asked = ofrep.requests[0]
    assert asked.path == "/ofrep/v1/evaluate/flags/openai-backend"
    assert asked.json() == {"context": {"targetingKey": "t", "model": "gpt-4o", "stream": False}}


def test_ofrep_through_a_client(sdk: Sdk, ofrep: Loopback, loopback: Loopback) -> None:
    loopback.answer = both
    values = ["responses", "chat", "force-chat", "responses"]

    def answer(request: Request) -> Reply:
        assert b"Say hello" not in request.body
        return Reply.of_json(
            {
                "key": "x",
                "reason": "STATIC",
                "variant": "v",
                "value": values[len(ofrep.requests) - 1],
            }
        )

    ofrep.answer = answer
    flag_client = _ofrep_client(ofrep)
    client = sdk.client(loopback, settings(flag_client))
    for _ in values:
        sdk.create(client, user="ann")
    flag_client.provider.session.close()
    assert paths(loopback) == [RESPONSES, CHAT, CHAT, RESPONSES]
    assert {request.json()["context"]["targetingKey"] for request in ofrep.requests} == {
        KEYED.digest("ann")
    }
