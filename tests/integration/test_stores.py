"""Every store keeps the same contract: in memory, in a file, in Redis, and a program's own."""

from __future__ import annotations

import asyncio
import inspect
import os
import pickle
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import adapter
from adapter._memory import in_memory, stores
from adapter._memory.in_memory import InMemoryStore
from tests.support.stores import (
    DictStore,
    RedisServer,
    needs_redis,
    redis_server,
    shared_redis,
    sqlite_url,
)

__all__ = ["shared_redis"]

KINDS = ("memory", "sqlite", "redis", "own")


class Asked:
    """A store with one interface for sync and async code, and for the in-memory store's sizes."""

    def __init__(self, store: Any, *, asynchronous: bool) -> None:
        self.store = store
        self._asynchronous = asynchronous and not isinstance(store, InMemoryStore)

    def _ask(self, method: str, *arguments: Any) -> Any:
        if self._asynchronous:
            return asyncio.run(getattr(self.store, f"a{method}")(*arguments))
        return getattr(self.store, method)(*arguments)

    def get(self, *names: str) -> Any:
        return dict(self._ask("get", list(names)))

    def put(self, name: str, value: bytes) -> None:
        self._ask(
            "put", name, value, *([len(value)] if isinstance(self.store, InMemoryStore) else [])
        )

    def delete(self, *names: str) -> None:
        self._ask("delete", list(names))

    def forget(self, pattern: str) -> int:
        deleted: int = self._ask("forget", pattern)
        return deleted


@pytest.fixture(params=[f"{mode}-{kind}" for mode in ("sync", "async") for kind in KINDS])
def asked(request: pytest.FixtureRequest, tmp_path: Path) -> Asked:
    mode, _, kind = request.param.partition("-")
    made: dict[str, Callable[[], Any]] = {
        "memory": lambda: stores.open_store("memory://", 5),
        "sqlite": lambda: stores.open_store(sqlite_url(tmp_path), 5),
        "redis": lambda: stores.open_store(_emptied(request).url, 5),
        "own": DictStore,
    }
    return Asked(made[kind](), asynchronous=mode == "async")


def _emptied(request: pytest.FixtureRequest) -> RedisServer:
    import redis

    if needs_redis.args[0]:
        pytest.skip(needs_redis.kwargs["reason"])
    server: RedisServer = request.getfixturevalue("shared_redis")
    with redis.Redis.from_url(server.url) as client:
        client.flushall()
    return server


class TestEveryStore:
    def test_gives_back_what_it_was_given(self, asked: Asked) -> None:
        values = {f"s:c:{k}": bytes(range(k, k + 100)) for k in range(5)}
        for name, value in values.items():
            asked.put(name, value)
        assert asked.get(*values, "s:c:absent") == values

    def test_has_nothing_at_first(self, asked: Asked) -> None:
        assert asked.get("s:c:1", "s:c:2") == {}

    def test_keeps_the_newest_value(self, asked: Asked) -> None:
        asked.put("s:c:1", b"old")
        asked.put("s:c:1", b"new")
        assert asked.get("s:c:1") == {"s:c:1": b"new"}

    def test_deletes(self, asked: Asked) -> None:
        asked.put("s:c:1", b"1")
        asked.put("s:c:2", b"2")
        asked.delete("s:c:1", "s:c:absent")
        assert asked.get("s:c:1", "s:c:2") == {"s:c:2": b"2"}

    @pytest.mark.parametrize(
        ("pattern", "left"),
        [
            ("s1:*:*", {"s2:c1:1", "s2:-:1"}),
            ("*:c1:*", {"s1:c2:1", "s2:-:1"}),
            ("s1:c1:*", {"s1:c2:1", "s2:c1:1", "s2:-:1"}),
        ],
        ids=["scope", "conversation", "one in the other"],
    )
    def test_forgets_by_pattern(self, asked: Asked, pattern: str, left: set[str]) -> None:
        names = {"s1:c1:1", "s1:c1:2", "s1:c2:1", "s2:c1:1", "s2:-:1"}
        for name in names:
            asked.put(name, b"x")
        assert asked.forget(pattern) == len(names - left)
        assert asked.get(*names).keys() == left
        assert asked.forget(pattern) == 0

    def test_answers_for_a_long_history(self, asked: Asked) -> None:
        names = [f"s:c:{k}" for k in range(1203)]
        for name in names[::100]:
            asked.put(name, name.encode())
        assert asked.get(*names) == {name: name.encode() for name in names[::100]}

    def test_serves_many_threads(self, asked: Asked) -> None:
        failed: list[BaseException] = []

        def work(k: int) -> None:
            try:
                for i in range(20):
                    asked.put(f"s:c{k}:{i}", b"%d" % i)
                    assert asked.get(f"s:c{k}:{i}") == {f"s:c{k}:{i}": b"%d" % i}
            except BaseException as error:  # noqa: BLE001  # raised below
                failed.append(error)

        threads = [threading.Thread(target=work, args=(k,)) for k in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not failed


# Bounds


@pytest.mark.parametrize("mode", ["memory", "sqlite", "redis"])
def test_values_grow_old(
    mode: str, tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    urls = {"memory": lambda: "memory://?age=60", "sqlite": lambda: sqlite_url(tmp_path, age=60),
            "redis": lambda: _emptied(request).url + "?age=0.5"}  # fmt: skip
    asked = Asked(stores.open_store(urls[mode](), 5), asynchronous=False)
    asked.put("s:c:1", b"1")
    assert asked.get("s:c:1")
    if mode == "redis":
        until = time.monotonic() + 20
        while asked.get("s:c:1") and time.monotonic() < until:
            time.sleep(0.02)
    else:
        clock = time.monotonic if mode == "memory" else time.time
        monkeypatch.setattr(time, clock.__name__, lambda: clock() + 62)
    assert asked.get("s:c:1") == {}


def test_this_process_keeps_the_newest_used() -> None:
    store = InMemoryStore(count=3, size=10_000, age=60)
    for name in "abc":
        store.put(name, name, 10)
    store.get(["a"])
    store.put("d", "d", 10)
    assert store.get(list("abcd")) == {"a": "a", "c": "c", "d": "d"}


def test_this_process_is_bounded_in_bytes() -> None:
    store = InMemoryStore(count=1000, size=100, age=60)
    for k in range(20):
        store.put(f"{k}", k, 30)
    assert store.get([f"{k}" for k in range(20)]) == {"17": 17, "18": 18, "19": 19}
    store.put("huge", "huge", 101)
    assert store.get(["huge", "19"]) == {"19": 19}
    store.put("19", "again", 100)
    assert store.get(["17", "18", "19"]) == {"19": "again"}


def test_this_process_forgets_what_is_old_first(monkeypatch: pytest.MonkeyPatch) -> None:
    store = InMemoryStore(count=10, size=1000, age=60)
    store.put("a", "a", 10)
    later = time.monotonic() + 61
    monkeypatch.setattr(in_memory.time, "monotonic", lambda: later)
    assert store.get(["a"]) == {}
    assert not store._entries
    assert not store._bytes


@pytest.mark.parametrize("bound", ["count", "bytes"])
def test_a_file_is_bounded(bound: str, tmp_path: Path) -> None:
    limits = {"count": 500} if bound == "count" else {"bytes": 400_000}
    store = stores.open_store(sqlite_url(tmp_path, **limits), 5)
    value = os.urandom(1000)
    for k in range(2048):
        store.put(f"s:c:{k}", value)
    kept = store.get([f"s:c:{k}" for k in range(2048)])
    assert len(kept) <= (500 if bound == "count" else 700)
    assert "s:c:2047" in kept
    assert "s:c:0" not in kept


# The setting `memory`


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("", "expected memory://"),
        ("memory", "expected memory://"),
        ("postgres://x", "expected memory://"),
        ("memory://host", "expected memory://"),
        ("memory://?ttl=5", "ttl: not something that can be set here; known are count, bytes, age"),
        ("memory://?age=0", "age: expected a number above 0"),
        ("memory://?count=many", "count: expected a number above 0"),
        ("sqlite://", "sqlite:/// needs the path"),
        ("sqlite:///", "sqlite:/// needs the path"),
        ("sqlite://relative.db", "three slashes"),
    ],
)
def test_an_invalid_url(url: str, why: str) -> None:
    with pytest.raises(adapter.ConfigurationError, match=why) as caught:
        adapter.Settings(memory=url)
    assert str(caught.value).startswith("memory: ")


def test_an_object_that_is_not_a_store() -> None:
    with pytest.raises(
        adapter.ConfigurationError,
        match=r"^memory: expected the URL of a store, a client of redis-py, or an object",
    ):
        adapter.Settings(memory=object())


def test_a_password_is_not_shown() -> None:
    settings = adapter.Settings(memory="redis://:secret@localhost/0")
    assert "secret" not in repr(settings)
    with pytest.raises(adapter.ConfigurationError) as caught:
        adapter.Settings(memory="redis+x://:secret@localhost/0")
    assert "secret" not in str(caught.value)


def test_one_url_is_one_store_in_a_process(tmp_path: Path) -> None:
    assert stores.open_store("memory://", 1) is stores.open_store("memory://", 1)
    assert stores.open_store(sqlite_url(tmp_path), 1) is stores.open_store(sqlite_url(tmp_path), 1)
    assert stores.open_store("memory://", 1) is not stores.open_store("memory://?count=5", 1)


def test_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert stores.parse_store_url("sqlite:///a%20b.db").place == str(tmp_path / "a b.db")
    assert stores.parse_store_url(f"sqlite:///{tmp_path}/c.db").place == str(tmp_path / "c.db")


def test_settings_with_a_store_can_be_compared_and_hashed() -> None:
    own = adapter.Settings(memory=DictStore())
    assert own.hash != adapter.Settings().hash
    assert own.hash == adapter.Settings(memory=DictStore()).hash
    assert (
        pickle.loads(pickle.dumps(adapter.Settings(memory="memory://?count=5"))).memory
        == "memory://?count=5"
    )


def test_the_protocol_is_what_the_stores_have() -> None:
    methods = {
        name
        for name, _ in inspect.getmembers(adapter.Store, inspect.isfunction)
        if not name.startswith("_")
    }
    assert methods == set(stores._METHODS)


@needs_redis
def test_a_server_that_is_full_says_so(tmp_path: Path) -> None:
    import redis

    with redis_server("--maxmemory", "2mb", "--maxmemory-policy", "noeviction") as server:
        store = stores.open_store(server.url, 5)

        def fill() -> None:
            for k in range(3000):
                store.put(f"s:c:{k}", os.urandom(2000))

        with pytest.raises(redis.RedisError):
            fill()
        store.close()


def test_a_url_that_cannot_be_read_shows_nothing_of_itself() -> None:
    with pytest.raises(adapter.ConfigurationError) as caught:
        adapter.Settings(memory="redis://:hunter2\u2100x@host/0")
    assert "hunter2" not in str(caught.value)


@needs_redis
@pytest.mark.parametrize("mode", ["sync", "async"])
def test_redis_opens_a_connection_again_that_the_server_closed(
    mode: str, shared_redis: RedisServer
) -> None:
    store = stores.open_store(shared_redis.url, 5)
    store.put("s:c:again", b"1")
    (connection,) = store._idle
    connection.send_command("CLIENT", "ID")
    store._get_client().client_kill_filter(_id=connection.read_response())
    if mode == "sync":
        assert store.get(["s:c:again"]) == {"s:c:again": b"1"}
    else:
        assert asyncio.run(store.aget(["s:c:again"])) == {"s:c:again": b"1"}
    store.close()


@needs_redis
def test_redis_serves_sync_calls_in_their_own_thread(
    shared_redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = stores.open_store(shared_redis.url, 5)
    store.put("s:c:here", b"1")
    monkeypatch.setattr("adapter._memory.redis_server.THREADS", None)
    assert store.bounded
    assert store.get(["s:c:here"]) == {"s:c:here": b"1"}
    store.put("s:c:here", b"2")
    assert store.get(["s:c:gone", "s:c:here"]) == {"s:c:here": b"2"}
    store.delete(["s:c:here"])
    assert store.get(["s:c:here"]) == {}
    store.close()


@needs_redis
def test_redis_serves_several_event_loops_and_a_cancelled_task(shared_redis: RedisServer) -> None:
    store = stores.open_store(shared_redis.url, 5)
    big = os.urandom(100_000)

    async def exchange() -> None:
        await store.aput("s:c:near", b"1")
        assert await store.aget(["s:c:near", "s:c:far"]) == {"s:c:near": b"1"}
        await store.aput("s:c:far", big)
        waiting = asyncio.ensure_future(store.aget(["s:c:far"]))
        await asyncio.sleep(0)
        waiting.cancel()  # its answer must not reach another caller
        with pytest.raises(asyncio.CancelledError):
            await waiting
        found = await asyncio.gather(*(store.aget([f"s:c:{name}"]) for name in ("near", "far")))
        assert found == [{"s:c:near": b"1"}, {"s:c:far": big}]
        await store.adelete(["s:c:near", "s:c:far"])
        assert await store.aget(["s:c:near", "s:c:far"]) == {}

    asyncio.run(exchange())
    asyncio.run(exchange())
    store.close()
