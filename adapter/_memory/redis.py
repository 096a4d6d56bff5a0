"""Stores on clients of redis-py: for a server, a cluster, sentinels, or the program's own client.

All that is used of redis-py is here and in `redis_server`, and is public.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from typing import Any

from adapter.errors import AdapterError, MissingExtra

from .store import MAX_TOTAL, MAX_VALUE, OPEN_TIMEOUT, Store
from .urls import StoreLocation

PREFIX = "adapter:"
_READ_BATCH = MAX_TOTAL // MAX_VALUE  # names in one pipeline that reads values
_BATCH = 100  # names in any other pipeline
_RETRIES = 3  # a cluster's client must retry when a slot has moved

_ASYNC_ONLY = (
    "a client of redis.asyncio serves async calls alone: give sync ones a URL, or a redis.Redis"
)

_AS_BYTES: dict[str, Any] = {"NEVER_DECODE": []}  # even if the client decodes responses

INHERITED: list[Any] = []
"""What a parent process opened, which must not be closed here."""


class RedisClientStore(Store):
    """Keep values by a sync client, each for `age` seconds.

    The server decides how much is kept (`maxmemory`, `maxmemory-policy`). Async callers use the
    client in worker threads: one of `redis.asyncio` belongs to one event loop. Each command names
    one key, so that the slots of a cluster don't matter. `make` makes the client on first use, and
    again in a forked process. A `borrowed` client is never closed.
    """

    def __init__(self, make: Callable[[], Any], *, age: float, borrowed: bool = False) -> None:
        self._make, self._age, self._borrowed = make, age, borrowed
        self._client: Any = None
        self._pid = os.getpid()

    def get(self, names: Sequence[str]) -> Mapping[str, bytes]:
        """Return the values found, by name."""
        found: dict[str, bytes] = {}
        for batch in _newest_first(names):
            pipe = self._get_client().pipeline(transaction=False)
            for name in batch:
                pipe.execute_command("GETRANGE", PREFIX + name, 0, MAX_VALUE, **_AS_BYTES)
            if _collect(found, batch, pipe.execute(raise_on_error=False)):
                break
        return found

    def put(self, name: str, value: bytes) -> None:
        """Keep a value, in place of an earlier one."""
        self._get_client().set(PREFIX + name, value, px=int(self._age * 1000))

    def delete(self, names: Sequence[str]) -> None:
        """Delete values."""
        self._unlink([PREFIX + name for name in names])

    def forget(self, pattern: str) -> int:
        """Delete every value whose name matches a pattern; return their number.

        Every primary of a cluster is scanned.
        """
        keys = self._get_client().scan_iter(match=PREFIX + pattern, count=1000)
        return sum(map(self._unlink, _batches(keys)))

    def _unlink(self, keys: list[Any]) -> int:
        pipe = self._get_client().pipeline(transaction=False)
        for key in keys:
            pipe.execute_command("UNLINK", key)  # the `unlink` of a cluster splits several keys
        return sum(pipe.execute())

    def _open(self) -> None:
        """Connect ahead of the first call."""
        self._get_client().ping()

    def close(self) -> None:
        """Close the connections; the next use opens them again."""
        client = None if self._pid != os.getpid() or self._borrowed else self._client
        self._client = None
        if client is not None:
            client.close()

    def _get_client(self) -> Any:
        if self._pid != os.getpid():
            self._reset_after_fork()
        if self._client is None:
            self._client = self._make()
        return self._client

    def _reset_after_fork(self) -> None:
        INHERITED.append(self._client)  # a thread that the child doesn't have may hold its locks
        self._client, self._pid = None, os.getpid()


class AsyncRedisClientStore(Store):
    """Keep values by the program's own async client, in the event loop that it belongs to."""

    def __init__(self, client: Any, *, age: float) -> None:
        self._client, self._age = client, age

    async def aget(self, names: Sequence[str]) -> Mapping[str, bytes]:
        """Return the values found, by name."""
        found: dict[str, bytes] = {}
        for batch in _newest_first(names):
            pipe = self._client.pipeline(transaction=False)
            for name in batch:
                pipe.execute_command("GETRANGE", PREFIX + name, 0, MAX_VALUE, **_AS_BYTES)
            if _collect(found, batch, await pipe.execute(raise_on_error=False)):
                break
        return found

    async def aput(self, name: str, value: bytes) -> None:
        """Keep a value, in place of an earlier one."""
        await self._client.set(PREFIX + name, value, px=int(self._age * 1000))

    async def adelete(self, names: Sequence[str]) -> None:
        """Delete values."""
        await self._unlink([PREFIX + name for name in names])

    async def aforget(self, pattern: str) -> int:
        """Delete every value whose name matches a pattern; return their number.

        Every primary of a cluster is scanned.
        """
        deleted = 0
        async for batch in _abatches(self._client.scan_iter(match=PREFIX + pattern, count=1000)):
            deleted += await self._unlink(batch)
        return deleted

    async def _unlink(self, keys: list[Any]) -> int:
        pipe = self._client.pipeline(transaction=False)
        for key in keys:
            pipe.execute_command("UNLINK", key)  # the `unlink` of a cluster splits several keys
        return sum(await pipe.execute())

    async def _aopen(self) -> None:
        """Connect ahead of the first call."""
        await self._client.ping()

    def get(self, names: Sequence[str]) -> Mapping[str, bytes]:
        """Raise AdapterError: the client is async."""
        raise AdapterError(_ASYNC_ONLY)

    def put(self, name: str, value: bytes) -> None:
        """Raise AdapterError: the client is async."""
        raise AdapterError(_ASYNC_ONLY)

    def delete(self, names: Sequence[str]) -> None:
        """Raise AdapterError: the client is async."""
        raise AdapterError(_ASYNC_ONLY)

    def forget(self, pattern: str) -> int:
        """Raise AdapterError: the client is async."""
        raise AdapterError(_ASYNC_ONLY)

    def close(self) -> None:
        """Leave the client to its program."""


def _newest_first(names: Sequence[str]) -> Iterator[list[str]]:
    for end in range(len(names), 0, -_READ_BATCH):
        yield list(names[max(end - _READ_BATCH, 0) : end])


def _collect(found: dict[str, bytes], names: list[str], answers: list[Any]) -> bool:
    """Add the values among the answers to `found`; return whether that is all that fits.

    An error is raised only if all answers are errors.
    """
    raise_errors(answers)
    found.update(
        (name, value)
        for name, value in zip(names, answers, strict=True)
        if value and isinstance(value, bytes)
    )
    return sum(map(len, found.values())) > MAX_TOTAL


def raise_errors(answers: list[Any]) -> None:
    """Raise the first answer if all are errors."""
    errors = [answer for answer in answers if isinstance(answer, Exception)]
    if errors and len(errors) == len(answers):
        raise errors[0]


def _batches(keys: Iterator[Any]) -> Iterator[list[Any]]:
    batch: list[Any] = []
    for key in keys:
        batch.append(key)
        if len(batch) == _BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


async def _abatches(keys: AsyncIterator[Any]) -> AsyncIterator[list[Any]]:
    batch: list[Any] = []
    async for key in keys:
        batch.append(key)
        if len(batch) == _BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def make_store(location: StoreLocation, seconds: float) -> RedisClientStore:
    """Make the store of a server over TLS, of a cluster, or of a server behind sentinels."""
    library()  # importing it takes more time than a call has
    if not location.hosts:
        make = server_client
    else:
        make = _sentinel_client if location.service else _cluster_client
    return RedisClientStore(lambda: make(location, seconds), age=location.age)


def library() -> Any:
    """Return the module `redis`. Raises MissingExtra if it isn't installed."""
    try:
        import redis
        import redis.backoff
        import redis.cluster
        import redis.connection
        import redis.retry
        import redis.sentinel
    except ImportError:
        raise MissingExtra("redis:// needs redis-py (extra `redis`)") from None
    return redis


def client_timeouts(seconds: float, retries: int = 0) -> dict[str, Any]:
    """Return the arguments that bound a client's time.

    By default redis-py retries with pauses, and a server that is down would cost a call seconds.
    The time includes handshakes; an answer that is late is left to its thread before.
    """
    redis = library()
    retry = redis.retry.Retry(redis.backoff.NoBackoff(), retries)
    seconds = max(seconds, OPEN_TIMEOUT)
    return {"socket_timeout": seconds, "socket_connect_timeout": seconds, "retry": retry}


def server_client(location: StoreLocation, seconds: float) -> Any:
    return library().Redis.from_url(location.place, **client_timeouts(seconds))


def _cluster_client(location: StoreLocation, seconds: float) -> Any:
    redis = library()
    nodes = [redis.cluster.ClusterNode(host, port) for host, port in location.hosts]
    timeouts = client_timeouts(seconds, _RETRIES)
    options = _client_options(location, left_out=("host", "port", "db"))
    return redis.RedisCluster(startup_nodes=nodes, **options, **timeouts)


def _sentinel_client(location: StoreLocation, seconds: float) -> Any:
    redis = library()
    options = _client_options(location, left_out=("host", "port"))
    timeouts = client_timeouts(seconds)
    tls = {name: value for name, value in options.items() if name.startswith("ssl")}
    credentials = {name.removeprefix("sentinel_"): value for name, value in location.sentinels}
    sentinels = redis.sentinel.Sentinel(
        list(location.hosts),
        sentinel_kwargs={**tls, **credentials, **timeouts},
        **options,
        **timeouts,
    )
    return sentinels.master_for(location.service)


def _client_options(location: StoreLocation, left_out: tuple[str, ...]) -> dict[str, Any]:
    """Return the arguments of a redis-py client for a URL."""
    options: dict[str, Any] = library().connection.parse_url(location.place)
    options.pop("connection_class", None)
    if location.kind.startswith("rediss"):
        options["ssl"] = True
    return {name: value for name, value in options.items() if name not in left_out}


def check(location: StoreLocation) -> None:
    """Raise ValueError for options that redis-py doesn't take, without connecting."""
    redis = library()
    try:
        pool = redis.Redis.from_url(location.place).connection_pool
        pool.connection_class(**pool.connection_kwargs)
    except Exception as error:  # noqa: BLE001  # of several kinds; the message may quote the URL
        problem = type(error).__name__
    else:
        return
    raise ValueError(f"has an option with a value that redis-py doesn't take ({problem})")


def store_of(client: Any, age: float) -> Store | None:
    """Return a store on a client of redis-py; None for any other object."""
    modules = [cls.__module__ for cls in type(client).__mro__]
    if not any(module.partition(".")[0] == "redis" for module in modules) or not hasattr(
        client, "pipeline"
    ):
        return None
    if any(module.startswith("redis.asyncio") for module in modules):
        return AsyncRedisClientStore(client, age=age)
    return RedisClientStore(lambda: client, age=age, borrowed=True)
