"""A store is opened before the first call, and one that can't be opened delays no call."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

import adapter
from adapter._exchange.effects import Recall, RecallResult, Remember
from adapter._memory import service as memory_service
from adapter._memory.keys import make_memory_scope
from adapter._memory.service import MemoryService
from adapter._memory.store import OPEN_TIMEOUT
from adapter._routing.reload import reloader_of
from adapter.translation.reasoning.turns import MemoryEntry
from tests.support.stores import DictStore, RedisServer, needs_redis, shared_redis, sqlite_url, turn

__all__ = ["shared_redis"]

KEY = base64.urlsafe_b64encode(b"k" * 32).decode()
SCOPE = make_memory_scope("https://api.test:443/v1")
RECALL = Recall("gpt-5", ("a",))
REMEMBER = Remember("gpt-5", MemoryEntry("a", turn()))

FRESH = """
import asyncio, importlib.abc, json, os, socket, sys, time

url, key, asynchronous = sys.argv[1], sys.argv[2], sys.argv[3] == "async"
SLOW = {"redis", "sqlite3", "cryptography"}


class Slow(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name in SLOW:
            time.sleep(0.6)


sys.meta_path.insert(0, Slow())
look_up = socket.getaddrinfo
socket.getaddrinfo = lambda *given, **named: (time.sleep(0.3), look_up(*given, **named))[1]

import adapter
from adapter._exchange.effects import Recall
from adapter._memory.keys import make_memory_scope

settings = adapter.Settings(backend="responses", memory=url, memory_key=key, memory_timeout=0.2)
client = adapter.OpenAI(api_key="key", settings=settings)
assert {name.partition(".")[0] for name in sys.modules} & SLOW


def first():
    memory = client._adapter_live.current().memory
    effect, scope = Recall("gpt-5", ("a",)), make_memory_scope("https://api.test:443/v1")
    if asynchronous:
        return len(asyncio.run(memory.aperform(effect, scope)).turns)
    return len(memory.perform(effect, scope).turns)


readable, writable = os.pipe()
if os.fork() == 0:
    os.write(writable, b"%d" % first())
    os._exit(0)
os.close(writable)
child = int(os.read(readable, 1))
os.wait()
print(json.dumps({"here": first(), "child": child}))
client.close()
"""


@needs_redis
@pytest.mark.parametrize("case", ["redis-sync", "redis-async", "sqlite-sync"])
def test_the_first_call_of_a_process_recalls(
    case: str, tmp_path: Path, shared_redis: RedisServer
) -> None:
    kind, _, mode = case.partition("-")
    url = (
        sqlite_url(tmp_path)
        if kind == "sqlite"
        else shared_redis.url.replace("127.0.0.1", "localhost")
    )
    service = MemoryService(url, scope_name=None, keys=(KEY,), seconds=5)
    service.perform(REMEMBER, SCOPE)
    service.store.close()
    command = [sys.executable, "-c", FRESH, url, KEY, mode]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, cwd=Path(__file__).parents[2]
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout) == {"here": 1, "child": 1}


FORKED = """
import os, sys
from adapter._exchange.effects import Recall, Remember
from adapter._memory.service import MemoryService
from adapter._memory.keys import make_memory_scope
from adapter.translation.reasoning.turns import MemoryEntry
from tests.support.stores import turn

scope = make_memory_scope("https://api.test:443/v1")
service = MemoryService(sys.argv[1], scope_name=None, keys=(), seconds=20)


def remember(name):
    service.perform(Remember("gpt-5", MemoryEntry(name, turn("gAAAA" + name))), scope)


def sound(*names):
    found = service.perform(Recall("gpt-5", names), scope).turns
    return found == {name: turn("gAAAA" + name) for name in names}


remember("parent")
assert sound("parent")
service._breaker._lock.acquire()
children = []
for k in range(8):
    child = os.fork()
    if child == 0:
        good = True
        for i in range(20):
            remember(f"{k} {i}")
            good = good and sound(f"{k} {i}", "parent")
        service._breaker.warn("the lock is free here")
        service.store.close()
        os._exit(0 if good and service._breaker._unreported == 0 else 1)
    children.append(child)
good = all([sound("parent") for _ in range(20)])
codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
assert good and sound("parent", *(f"{k} 19" for k in range(8)))
service.store.close()
print(codes)
"""


@needs_redis
@pytest.mark.parametrize("kind", ["redis", "sqlite"])
def test_children_use_their_own_connections(
    kind: str, tmp_path: Path, shared_redis: RedisServer
) -> None:
    url = sqlite_url(tmp_path) if kind == "sqlite" else shared_redis.url
    command = [sys.executable, "-c", FORKED, url]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, cwd=Path(__file__).parents[2]
    )
    assert (done.returncode, done.stdout.strip()) == (0, str([0] * 8)), done.stderr


@pytest.fixture
def silent() -> Any:
    """Yield the port of a server that never accepts a connection."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        full = [socket.socket() for _ in range(3)]
        for one in full:
            one.setblocking(False)
            one.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]
        for one in full:
            one.close()


@needs_redis
@pytest.mark.parametrize(
    "url",
    [
        "redis://127.0.0.1:{}/0",
        "redis+cluster://127.0.0.1:{}",
        "redis+sentinel://127.0.0.1:{}/shop",
    ],
)
def test_a_server_that_does_not_answer_fails_no_start(
    url: str, silent: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    waited: list[float] = []
    wait = memory_service.wait
    monkeypatch.setattr(
        memory_service,
        "wait",
        lambda futures, seconds: (waited.append(seconds), wait(futures, 0.01))[1],
    )
    settings = adapter.Settings(backend="responses", memory=url.format(silent))
    with adapter.OpenAI(api_key="key", settings=settings) as client:
        reloader: Any = client._adapter_live  # type: ignore[attr-defined]
        assert reloader.current().memory.perform(RECALL, SCOPE) == RecallResult()
    assert waited == [OPEN_TIMEOUT]


def test_nothing_is_opened_for_calls_that_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("redis")
    monkeypatch.setattr(memory_service._OPENERS, "start", None)
    with adapter.OpenAI(api_key="key", settings=adapter.Settings(memory="redis://127.0.0.1:1/0")):
        pass


@needs_redis
def test_a_store_that_a_changed_file_names_is_opened_without_waiting(
    tmp_path: Path, shared_redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "adapter.toml"
    file.write_text('backend = "responses"\n', encoding="utf-8")
    reading = reloader_of(adapter.Settings(config_file=file))
    waited: list[float] = []
    monkeypatch.setattr(memory_service, "wait", lambda _, seconds: waited.append(seconds))
    file.write_text(f'backend = "responses"\nmemory = "{shared_redis.url}"\n', encoding="utf-8")
    memory = reading.current().memory
    assert waited == [0]
    until = time.monotonic() + 20
    while memory.store._client is None and time.monotonic() < until:
        time.sleep(0.01)
    assert memory.store._client is not None


def test_a_failure_is_logged_at_start(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    settings = adapter.Settings(backend="responses", memory=sqlite_url(tmp_path))
    (tmp_path / "memory.db").symlink_to(tmp_path / "another.db")
    with caplog.at_level(logging.WARNING), adapter.OpenAI(api_key="key", settings=settings):
        pass
    (record,) = caplog.records
    assert "memory.db is a link" in record.getMessage()
    assert not (tmp_path / "another.db").exists()


@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
def test_a_store_is_opened_once(asynchronous: bool) -> None:
    class Opened(DictStore):
        times = 0

        def _open(self) -> None:
            self.times += 1

    store = Opened()
    service = MemoryService(store, scope_name=None, keys=(), seconds=5)
    for _ in range(3):
        if asynchronous:
            asyncio.run(service.aperform(RECALL, SCOPE))
        else:
            service.perform(RECALL, SCOPE)
    assert store.times == 1


def test_opening_leaves_no_thread(tmp_path: Path) -> None:
    """A process that makes clients before it forks must have no threads."""
    MemoryService(sqlite_url(tmp_path), scope_name=None, keys=(), seconds=5).prepare()
    for thread in threading.enumerate():
        if thread.name == "adapter-memory-opening":
            thread.join(20)
            assert not thread.is_alive()
