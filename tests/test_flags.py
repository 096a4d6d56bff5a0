"""The feature flag: any provider through OpenFeature, in bounded time, told nothing but a keyed hash (DESIGN §4)."""

from __future__ import annotations

import asyncio
import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import adapter
from adapter import Settings
from adapter.effects import Flag
from adapter.routing import flags, rollout
from tests.support.answers import CALL, CHAT, KEY, RESPONSES, Sdk, both, paths, sdk
from tests.support.http import default_client
from tests.support.loopback import Loopback, Reply, Request

openfeature = pytest.importorskip("openfeature")

from openfeature import api  # noqa: E402  # an extra, see above
from openfeature.flag_evaluation import FlagResolutionDetails, Reason  # noqa: E402
from openfeature.provider import AbstractProvider, Metadata  # noqa: E402
from openfeature.provider.in_memory_provider import InMemoryFlag, InMemoryProvider  # noqa: E402

__all__ = ["sdk"]

QUESTION = Flag("adapter", {"stream": False})
LONG = 30.0  # seconds that nobody waits
SHORT = 0.02


@pytest.fixture(autouse=True)
def _anew(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Give each test threads of its own, and complaints that nobody has heard; forget its providers."""
    monkeypatch.setattr(flags, "_THREADS", flags._Threads(32))
    monkeypatch.setattr(flags, "_complained", set())
    yield
    api.shutdown()
    api.clear_providers()


class Provider(AbstractProvider):
    """A provider whose answer is a function's."""

    def __init__(self, answer: Callable[[Any], Any]) -> None:
        super().__init__()
        self.answer = answer
        self.asked: list[Any] = []
        self.threads: list[str] = []

    def get_metadata(self) -> Metadata:
        return Metadata("test")

    def resolve_string_details(self, flag_key: str, default_value: str, evaluation_context: Any = None) -> Any:
        assert flag_key == "openai-backend"
        self.asked.append(evaluation_context)
        self.threads.append(threading.current_thread().name)
        return FlagResolutionDetails(self.answer(evaluation_context), reason=Reason.STATIC)

    resolve_boolean_details = resolve_integer_details = resolve_float_details = resolve_object_details = None  # type: ignore[assignment]


class AsyncProvider(Provider):
    """A provider with an async method of its own."""

    async def resolve_string_details_async(
        self, flag_key: str, default_value: str, evaluation_context: Any = None
    ) -> Any:
        answer = self.answer(evaluation_context)
        self.asked.append(evaluation_context)
        self.threads.append(threading.current_thread().name)
        return FlagResolutionDetails(await answer if asyncio.iscoroutine(answer) else answer, reason=Reason.STATIC)


def client_of(provider: Any) -> Any:
    domain = f"test-{id(provider)}"
    api.set_provider(provider, domain)
    deadline = time.monotonic() + 10
    client = api.get_client(domain)
    while client.get_provider_status().name != "READY":  # newer versions start providers in a thread
        assert time.monotonic() < deadline
        time.sleep(0.001)
    return client


def saying(value: Any) -> Any:
    return client_of(Provider(lambda _: value))


def in_memory(value: Any, key: str = "openai-backend") -> Any:
    return client_of(InMemoryProvider({key: InMemoryFlag("on", {"on": value})}))


def settings(client: Any, **more: Any) -> Settings:
    return Settings(flags=client, **{"flag_timeout": LONG, "on_bug": "raise", **more})


# What a flag says


@pytest.mark.parametrize("given", ["chat", "responses"])
@pytest.mark.parametrize("value", ["chat", "responses"])
def test_the_flag_chooses(sdk: Sdk, value: str, given: Any, loopback: Loopback) -> None:
    loopback.answer = both
    result = sdk.create(sdk.client(loopback, settings(in_memory(value), backend=given)))
    made = adapter.decision(result)
    assert made is not None
    assert (made.backend, made.asked, made.reason) == (value, value, "flag")
    assert paths(loopback) == [RESPONSES if value == "responses" else CHAT]


def test_force_chat_beats_everything(sdk: Sdk, loopback: Loopback) -> None:
    loopback.answer = both
    client = sdk.client(loopback, settings(in_memory("force-chat"), backend="responses", force="responses"))
    with adapter.use(backend="responses"):
        result = sdk.create(client, extra_headers={"x-adapter-backend": "responses"})
    made = adapter.decision(result)
    assert made is not None
    assert (made.backend, made.reason) == ("chat", "force")
    assert paths(loopback) == [CHAT]


def test_a_forced_chat_asks_nobody(sdk: Sdk, loopback: Loopback) -> None:
    loopback.answer = both
    provider = Provider(lambda _: pytest.fail("asked"))
    sdk.create(sdk.client(loopback, settings(client_of(provider), force="chat")))
    assert provider.asked == []


def _raise(error: BaseException) -> Any:
    raise error


NOTHING: dict[str, tuple[Callable[[], Any], str | None]] = {
    "unknown flag": (lambda: in_memory("responses", "another-flag"), None),
    "empty": (lambda: saying(""), None),
    "unknown value": (lambda: saying("SECRET"), "a value that means nothing"),
    "another case": (lambda: saying("Responses"), "a value that means nothing"),
    "a switch": (lambda: saying(True), None),
    "a number": (lambda: in_memory(5), None),
    "an object": (lambda: saying({"backend": "responses"}), None),
    "nothing at all": (lambda: saying(None), None),
    "raises": (lambda: client_of(Provider(lambda _: _raise(ConnectionError("SECRET")))), None),
    "raises what ends programs": (lambda: client_of(Provider(lambda _: _raise(SystemExit("SECRET")))), None),
    "a client that raises": (lambda: Bare(lambda: _raise(RuntimeError("SECRET"))), "RuntimeError"),
    "a client that ends programs": (lambda: Bare(lambda: _raise(SystemExit("SECRET"))), "RuntimeError"),
    "a client that gives nothing": (lambda: Bare(lambda: None), "a value that means nothing"),
    "a client that gives a list": (lambda: Bare(type("Details", (), {"value": ["responses"]})), "a value that means nothing"),
    "a client that times out": (lambda: Bare(lambda: _raise(TimeoutError("SECRET"))), "TimeoutError"),
}  # fmt: skip


class Bare:
    """Something with a client's method, as far as Settings can tell."""

    def __init__(self, answer: Callable[[], Any]) -> None:
        self.answer = answer

    def get_string_details(self, *_: Any) -> Any:
        return self.answer()


@pytest.mark.parametrize("case", NOTHING)
def test_no_opinion(sdk: Sdk, case: str, loopback: Loopback, caplog: pytest.LogCaptureFixture) -> None:
    loopback.answer = both
    make, complaint = NOTHING[case]
    flag_client = make()
    with caplog.at_level(logging.WARNING, "adapter"):
        for backend in ("responses", "chat", "responses"):
            result = sdk.create(sdk.client(loopback, settings(flag_client, backend=backend)))
            made = adapter.decision(result)
            assert made is not None
            assert (made.backend, made.reason) == (backend, "settings")
    ours = [record.getMessage() for record in caplog.records if record.name == "adapter"]
    assert len(ours) <= 1
    assert "SECRET" not in "".join(ours)
    if complaint is not None:
        assert complaint in ours[0]


# What a flag is told

KEYED = rollout.key_of("adapter")
TOLD: dict[str, tuple[dict[str, Any], dict[str, Any], str, dict[str, Any]]] = {
    "nobody": ({}, {}, "adapter", {}),
    "user": ({"user": "ann"}, {}, rollout.name_of(KEYED, "ann"), {}),
    "safety_identifier": ({"safety_identifier": "s"}, {}, rollout.name_of(KEYED, "s"), {}),
    "both": ({"user": "ann", "safety_identifier": "s"}, {}, rollout.name_of(KEYED, "ann"), {}),
    "conversation": ({"user": "ann"}, {"conversation": "c1"}, rollout.name_of(KEYED, "c1"), {}),
    "cache key": ({"prompt_cache_key": "k"}, {}, "adapter", {}),
    "tag": ({}, {"tag": "batch"}, "adapter", {"tag": "batch"}),
    "stream": ({"stream": True}, {}, "adapter", {"stream": True}),
    "model": ({"model": "gpt-4.1"}, {}, "adapter", {"model": "gpt-4.1"}),
    "all": (
        {"temperature": 1, "tools": [{"type": "function", "function": {"name": "f", "parameters": {}}}], "metadata": {"a": "b"}},
        {}, "adapter", {}),
}  # fmt: skip


@pytest.mark.parametrize("case", TOLD)
def test_what_a_flag_is_told(sdk: Sdk, case: str, loopback: Loopback) -> None:
    loopback.answer = both
    more, inside, target, attributes = TOLD[case]
    provider = Provider(lambda _: "chat")
    with adapter.use(**inside):
        result = sdk.create(sdk.client(loopback, settings(client_of(provider))), **more)
    if more.get("stream"):
        sdk.list(result)
    (context,) = provider.asked
    assert context.targeting_key == target
    assert dict(context.attributes) == {"model": "gpt-4o", "stream": False} | attributes
    assert "Say hello" not in repr(context)


def test_the_hash_is_the_services() -> None:
    assert rollout.name_of(rollout.key_of("billing"), "ann") != rollout.name_of(KEYED, "ann")
    assert "ann" not in rollout.name_of(KEYED, "ann")


def test_providers_see_the_callers_context(sdk: Sdk, loopback: Loopback) -> None:
    loopback.answer = both
    seen: list[Any] = []
    flag_client = client_of(Provider(lambda _: seen.append(adapter.routing.overrides.current().tag) or "chat"))
    with adapter.use(tag="mine"):
        sdk.create(sdk.client(loopback, settings(flag_client)))
    assert seen == ["mine"]


# Slow providers


@pytest.fixture
def stuck() -> Iterator[Any]:
    """Give a client whose provider is blocked until the test ends, and tells when it has begun."""
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


def test_a_blocked_provider_holds_up_nobody(sdk: Sdk, stuck: Any, loopback: Loopback) -> None:
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
    asking = asyncio.create_task(flags.aask(stuck, QUESTION, LONG))
    assert await asyncio.to_thread(stuck.begun.acquire, timeout=LONG)
    before = ticks
    while ticks < before + 100:  # noqa: ASYNC110  # that the loop goes round is what this is about
        await asyncio.sleep(0)
    assert not asking.done()
    stuck.go_on.set()
    assert await asking == "responses"
    ticking.cancel()


async def test_a_cancelled_call_stops_waiting(stuck: Any) -> None:
    asking = asyncio.create_task(flags.aask(stuck, QUESTION, LONG))
    assert await asyncio.to_thread(stuck.begun.acquire, timeout=LONG)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking


def test_more_stuck_questions_than_threads(stuck: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flags, "_THREADS", flags._Threads(3))
    assert [flags.ask(stuck, QUESTION, SHORT) for _ in range(3)] == [None] * 3
    assert sum(thread.name == "adapter-flag" for thread in threading.enumerate()) == 3
    # All threads are stuck: nobody waits any more, however long they may.
    assert [flags.ask(stuck, QUESTION, LONG) for _ in range(20)] == [None] * 20
    assert [asyncio.run(flags.aask(stuck, QUESTION, LONG)) for _ in range(5)] == [None] * 5
    stuck.go_on.set()
    for thread in threading.enumerate():
        if thread.name == "adapter-flag":
            thread.join(LONG)
    assert flags.ask(stuck, QUESTION, LONG) == "responses"


@pytest.mark.parametrize("mode", ["threads", "tasks"])
def test_more_questions_than_threads_wait_for_their_turn(mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flags, "_THREADS", flags._Threads(4))
    client = client_of(Provider(lambda _: time.sleep(0.001) or "responses"))
    if mode == "tasks":

        async def all_() -> list[Any]:
            return await asyncio.gather(*(flags.aask(client, QUESTION, LONG) for _ in range(200)))

        assert asyncio.run(all_()) == ["responses"] * 200
        return
    got: list[Any] = []
    threads = [threading.Thread(target=lambda: got.append(flags.ask(client, QUESTION, LONG))) for _ in range(60)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LONG)
    assert got == ["responses"] * 60


def test_who_waits_in_vain_leaves_nothing_behind(stuck: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    threads = flags._Threads(2)
    monkeypatch.setattr(flags, "_THREADS", threads)
    waiting = threading.Thread(target=flags.ask, args=(stuck, QUESTION, LONG))
    waiting.start()  # keeps the provider from being taken for stuck
    assert stuck.begun.acquire(timeout=LONG)
    assert [flags.ask(stuck, QUESTION, SHORT) for _ in range(5)] == [None] * 5
    assert not threads._waiting
    stuck.go_on.set()
    waiting.join(LONG)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_process_has_threads_of_its_own() -> None:
    # In a process of its own: this one has threads, with which forking isn't safe.
    code = (
        "import os; from adapter.routing import flags\n"
        "flags._THREADS._running.update(object() for _ in range(32))\n"
        "child = os.fork()\n"
        "if child == 0: os._exit(0 if not flags._THREADS._running else 1)\n"
        "raise SystemExit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))"
    )
    environment = {"PYTHONPATH": ":".join(sys.path), "PATH": "/usr/bin"}
    assert subprocess.run([sys.executable, "-c", code], check=False, env=environment).returncode == 0


# Providers with async methods


async def test_an_async_provider_is_awaited() -> None:
    async def answer() -> str:
        await asyncio.sleep(0)
        return "responses"

    provider = AsyncProvider(lambda _: answer())
    assert await flags.aask(client_of(provider), QUESTION, LONG) == "responses"
    assert provider.threads == [threading.current_thread().name]


async def test_a_sync_provider_runs_in_a_thread() -> None:
    provider = Provider(lambda _: "responses")
    assert await flags.aask(client_of(provider), QUESTION, LONG) == "responses"
    assert provider.threads == ["adapter-flag"]


async def test_an_async_provider_that_never_answers() -> None:
    cancelled = asyncio.Event()

    async def answer() -> str:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()
        return "responses"

    assert await flags.aask(client_of(AsyncProvider(lambda _: answer())), QUESTION, SHORT) is None
    assert cancelled.is_set()


async def test_an_async_provider_that_raises() -> None:
    async def answer() -> str:
        raise ConnectionError

    assert await flags.aask(client_of(AsyncProvider(lambda _: answer())), QUESTION, LONG) is None


def test_an_async_provider_in_sync_code() -> None:
    assert flags.ask(client_of(AsyncProvider(lambda _: "responses")), QUESTION, LONG) == "responses"


@pytest.mark.parametrize("provider", [Provider, AsyncProvider])
def test_on_trio(provider: Any) -> None:
    trio = pytest.importorskip("trio")
    made = client_of(provider(lambda _: "responses"))
    assert trio.run(flags.aask, made, QUESTION, LONG) == "responses"


# A real provider, over HTTP


@pytest.fixture
def ofrep() -> Iterator[Loopback]:
    with Loopback() as server:
        yield server


def _ofrep_client(server: Loopback) -> Any:
    provider = pytest.importorskip("openfeature.contrib.provider.ofrep")
    return client_of(provider.OFREPProvider(server.url))


OFREP: dict[str, tuple[Reply, str | None]] = {
    "responses": (Reply.of_json({"key": "openai-backend", "reason": "STATIC", "variant": "on", "value": "responses"}), "responses"),
    "force-chat": (Reply.of_json({"key": "openai-backend", "reason": "TARGETING_MATCH", "variant": "x", "value": "force-chat"}),
                   "force-chat"),
    "a switch": (Reply.of_json({"key": "openai-backend", "reason": "STATIC", "variant": "on", "value": True}), None),
    "not found": (Reply.of_json({"key": "openai-backend", "errorCode": "FLAG_NOT_FOUND", "errorDetails": "no"}, 404), None),
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
        question = Flag("t", {"model": "gpt-4o", "stream": False})
        if mode == "sync":
            assert flags.ask(client, question, LONG) == expected
        else:
            assert asyncio.run(flags.aask(client, question, LONG)) == expected
    finally:
        client.provider.session.close()
    asked = ofrep.requests[0]
    assert asked.path == "/ofrep/v1/evaluate/flags/openai-backend"
    assert asked.json() == {"context": {"targetingKey": "t", "model": "gpt-4o", "stream": False}}


def test_ofrep_through_a_client(sdk: Sdk, ofrep: Loopback, loopback: Loopback) -> None:
    loopback.answer = both
    said = ["responses", "chat", "force-chat", "responses"]

    def answer(request: Request) -> Reply:
        assert b"Say hello" not in request.body
        return Reply.of_json({"key": "x", "reason": "STATIC", "variant": "v", "value": said[len(ofrep.requests) - 1]})

    ofrep.answer = answer
    flag_client = _ofrep_client(ofrep)
    client = sdk.client(loopback, settings(flag_client))
    for _ in said:
        sdk.create(client, user="ann")
    flag_client.provider.session.close()
    assert paths(loopback) == [RESPONSES, CHAT, CHAT, RESPONSES]
    assert {request.json()["context"]["targetingKey"] for request in ofrep.requests} == {rollout.name_of(KEYED, "ann")}


# Not installed, not used


def test_without_openfeature(monkeypatch: pytest.MonkeyPatch) -> None:
    made = saying("chat")
    monkeypatch.setattr("adapter.routing.settings.find_spec", lambda name: None)
    with pytest.raises(adapter.MissingExtra, match=r"\[openfeature\]"):
        Settings(flags=made)
    with pytest.raises(ImportError):
        Settings(flags=made)
    assert Settings().flags is None


def test_what_is_no_client() -> None:
    with pytest.raises(adapter.ConfigurationError, match=r"^flags: expected a client of OpenFeature"):
        Settings(flags="openai-backend")


def test_openfeature_is_not_imported_until_a_flag_is_used(loopback: Loopback) -> None:
    loopback.answer = both
    code = (
        "import sys, adapter\n"
        f"with adapter.OpenAI(base_url={loopback.base_url!r}, api_key='k', settings=adapter.Settings(backend='responses')) as client:\n"
        f"    client.chat.completions.create(**{CALL!r})\n"
        "assert not [name for name in sys.modules if name.startswith('openfeature')]\n"
    )
    environment = {"PYTHONPATH": ":".join(sys.path), "PATH": "/usr/bin"}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)
    assert paths(loopback) == [RESPONSES]


def test_a_client_asks_once_a_call_also_when_it_retries(loopback: Loopback, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("openai._base_client.INITIAL_RETRY_DELAY", 0.0)
    loopback.answer = lambda request: both(request) if len(loopback.requests) > 2 else Reply.of_json({}, 500)
    provider = Provider(lambda _: "responses")
    http_client = default_client()
    with adapter.OpenAI(
        base_url=loopback.base_url, api_key=KEY, settings=settings(client_of(provider)), http_client=http_client
    ) as client:
        client.chat.completions.create(**CALL)
    assert len(provider.asked) == 1
    assert paths(loopback) == [RESPONSES] * 3
