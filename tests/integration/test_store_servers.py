"""The contract of every store on every kind of Redis.

TLS, a socket, a cluster, sentinels, and clients that the program made.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import pytest

import adapter
from adapter._exchange.effects import Recall, RecallResult, Remember
from adapter._memory import stores
from adapter._memory.keys import make_memory_scope
from adapter._memory.service import MemoryService
from adapter._memory.stores import parse_store_url
from adapter.translation.reasoning.turns import MemoryEntry
from tests.integration.test_stores import Asked, TestEveryStore
from tests.support.redis_kinds import PASSWORD, Kinds, all_kinds, until
from tests.support.stores import SERVER, needs_redis, turn

__all__ = ["TestEveryStore"]  # run again with the stores of this file

pytestmark = needs_redis

URLS = ("tls", "unix", "cluster", "sentinel")
CLIENTS = ("client", "cluster client", "client of text", "cluster client of text")
ASYNC_CLIENTS = tuple(f"async {kind}" for kind in CLIENTS)
SCOPE = make_memory_scope("https://api.test:443/v1")


@pytest.fixture(scope="session")
def servers() -> Iterator[Kinds]:
    if SERVER is None:
        pytest.skip("redis-server isn't installed")
    with all_kinds() as kinds:
        yield kinds


@pytest.fixture(scope="module")
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    """Yield a running event loop: a client of redis.asyncio belongs to one."""
    made = asyncio.new_event_loop()
    thread = threading.Thread(target=made.run_forever)
    thread.start()
    yield made
    made.call_soon_threadsafe(made.stop)
    thread.join()
    made.close()


def _client(kind: str, servers: Kinds) -> Any:
    import redis
    from redis.asyncio import Redis as AsyncRedis
    from redis.asyncio import RedisCluster as AsyncRedisCluster

    if "cluster" in kind:
        host, port = parse_store_url(servers.url("cluster")).hosts[0]
        cluster = AsyncRedisCluster if "async" in kind else redis.RedisCluster
        return cluster(host=host, port=port, password=PASSWORD, decode_responses="text" in kind)
    return (AsyncRedis if "async" in kind else redis.Redis).from_url(
        servers.url("unix"), decode_responses="text" in kind
    )


class InLoop(Asked):
    """A store that is asked in one event loop."""

    def __init__(self, store: Any, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(store, asynchronous=True)
        self._loop = loop

    def _ask(self, method: str, *arguments: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(
            getattr(self.store, f"a{method}")(*arguments), self._loop
        ).result(60)


PARAMS = [
    *(f"{mode}-{kind}" for kind in URLS for mode in ("sync", "async")),
    *(f"sync-{kind}" for kind in CLIENTS),
]


@pytest.fixture(params=[*PARAMS, *(f"async-{kind}" for kind in ASYNC_CLIENTS)])
def asked(request: pytest.FixtureRequest, servers: Kinds) -> Iterator[Asked]:
    mode, _, kind = request.param.partition("-")
    if kind.startswith("async"):
        loop: asyncio.AbstractEventLoop = request.getfixturevalue("loop")
        client = _client(kind, servers)
        emptied = InLoop(stores.open_store(client, 5), loop)
        emptied.forget("*")
        yield emptied
        asyncio.run_coroutine_threadsafe(client.aclose(), loop).result(60)
        return
    client = _client(kind, servers) if kind in CLIENTS else None
    made = Asked(
        stores.open_store(servers.url(kind) if client is None else client, 5),
        asynchronous=mode == "async",
    )
    made.forget("*")
    yield made
    made.store.close()
    if client is not None:
        client.close()


@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
@pytest.mark.parametrize("kind", URLS)
def test_the_first_call_recalls(kind: str, asynchronous: bool, servers: Kinds) -> None:
    """Connecting to a cluster, or through sentinels, takes longer than a call may wait."""
    url = adapter.Settings(memory=servers.url(kind)).memory
    MemoryService(url, scope_name=kind, keys=(), seconds=30).perform(
        Remember("gpt-5", MemoryEntry("a", turn())), SCOPE
    )
    stores.reset_stores()
    service = MemoryService(url, scope_name=kind, keys=(), seconds=0.3)
    recall = Recall("gpt-5", ("a",))
    found = (
        asyncio.run(service.aperform(recall, SCOPE))
        if asynchronous
        else service.perform(recall, SCOPE)
    )
    assert found.turns == {"a": turn()}


def test_a_clusters_values_are_spread(servers: Kinds) -> None:
    import redis

    store = stores.open_store(servers.url("cluster"), 5)
    for k in range(30):
        store.put(f"s:c:{k}", b"x")
    host, port = parse_store_url(servers.url("cluster")).hosts[0]
    with redis.RedisCluster(host=host, port=port, password=PASSWORD) as client:
        sizes = [client.dbsize(target_nodes=node) for node in client.get_primaries()]
    assert len(sizes) == 3
    assert all(sizes)
    assert store.forget("s:c:*") == 30


def test_a_server_that_sentinels_replace(servers: Kinds) -> None:
    with all_kinds() as own:
        url = adapter.Settings(memory=own.url("sentinel")).memory
        service = MemoryService(url, scope_name=None, keys=(), seconds=5)
        remember, recall = Remember("gpt-5", MemoryEntry("a", turn())), Recall("gpt-5", ("a",))
        service.perform(remember, SCOPE)
        assert service.perform(recall, SCOPE).turns == {"a": turn()}
        own.sentinel_server.kill()

        def back() -> bool:
            service._breaker._open_until = 0.0
            service.perform(remember, SCOPE)
            return bool(service.perform(recall, SCOPE).turns)

        until(back, "another server")
        service.store.close()


def test_an_async_client_in_sync_calls_is_a_warning(
    servers: Kinds, caplog: pytest.LogCaptureFixture
) -> None:
    service = MemoryService(_client("async client", servers), scope_name=None, keys=(), seconds=5)
    assert service.perform(Recall("gpt-5", ("a",)), SCOPE) == RecallResult()
    assert "a client of redis.asyncio serves async calls alone" in caplog.text


def test_a_pool_is_no_client() -> None:
    import redis

    with pytest.raises(adapter.ConfigurationError, match=r"^memory: expected the URL of a store"):
        adapter.Settings(memory=redis.ConnectionPool())


@pytest.mark.parametrize("kind", ["unix", "cluster"])
def test_what_others_wrote_does_not_hide_the_rest(kind: str, servers: Kinds) -> None:
    """A list under a name, and a megabyte too much."""
    store = stores.open_store(servers.url(kind), 5)
    client = store._get_client()
    names = [f"s:odd:{k}" for k in range(4)]
    client.rpush(f"adapter:{names[0]}", "x")
    client.set(f"adapter:{names[1]}", b"x" * 3_000_000)
    client.set(f"adapter:{names[2]}", b"sound")
    found = dict(store.get(names))
    assert len(found.pop(names[1])) < 1_100_000, "no more than shows that it is too big"
    assert found == {names[2]: b"sound"}
    assert dict(asyncio.run(store.aget(names[2:3]))) == {names[2]: b"sound"}
    store.forget("s:odd:*")
