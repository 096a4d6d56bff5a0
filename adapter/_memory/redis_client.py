"""Stores on clients of redis-py.

A cluster, a server that sentinels know, and a client that the program made itself.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from typing import Any

from adapter.errors import AdapterError

from .redis import PREFIX, client_timeouts, library
from .store import MAX_TOTAL, MAX_VALUE, OPEN_TIMEOUT, Store
from .urls import StoreLocation

_BATCH = 100  # names in one pipeline
_RETRIES = 3  # a cluster's client must ask again where a slot has moved

_ASYNC_ONLY = (
    "a client of redis.asyncio serves async calls alone: give sync ones a URL, or a redis.Redis"
)

_AS_BYTES: dict[str, Any] = {"NEVER_DECODE": []}  # also where the client gives its program text

_INHERITED: list[Any] = []  # clients of a parent process, which must not be closed here


class RedisClientStore(Store):
    """Keep values by a sync client, each for `age` seconds.

    Commands name one value each, so that a cluster's slots don't matter. `make` makes the client, when it is first needed and anew in a forked process; a program's own
    client is left as it is.
    """

    def __init__(self, make: Callable[[], Any], *, age: float, borrowed: bool = False) -> None:
        self._make, self._age, self._borrowed = make, age, borrowed
        self._client: Any = None
        self._pid = os.getpid()

    def get(self, names: Sequence[str]) -> Mapping[str, bytes]:
        """Return the values that are there."""
        found: dict[str, bytes] = {}
        for some in _newest_first(names):
            pipe = self._get_client().pipeline(transaction=False)
            for name in some:
                pipe.execute_command("GETRANGE", PREFIX + name, 0, MAX_VALUE, **_AS_BYTES)
            if _collect(found, some, pipe.execute(raise_on_error=False)):
                break
        return found

    def put(self, name: str, value: bytes) -> None:
        """Keep a value, in place of an earlier one."""
        self._get_client().set(PREFIX + name, value, px=int(self._age * 1000))

    def delete(self, names: Sequence[str]) -> None:
        """Forget values."""
        self._unlink([PREFIX + name for name in names])

    def forget(self, pattern: str) -> int:
        """Forget every value whose name matches a pattern; return how many there were.

        Every primary is walked.
        """
        return sum(
            map(
                self._unlink,
                _batches(self._get_client().scan_iter(match=PREFIX + pattern, count=1000)),
            )
        )

    def _unlink(self, keys: list[Any]) -> int:
        pipe = self._get_client().pipeline(transaction=False)
        for key in keys:
            pipe.execute_command("UNLINK", key)  # `unlink` of a cluster takes several apart
        return sum(pipe.execute())

    def _open(self) -> None:
        """Connect before anybody waits for it."""
        self._get_client().ping()

    def close(self) -> None:
        """Close the connections; the next use opens them again."""
        client = None if self._pid != os.getpid() or self._borrowed else self._client
        self._client = None
        if client is not None:
            client.close()

    def _get_client(self) -> Any:
        if self._pid != os.getpid():
            _INHERITED.append(self._client)  # a thread that isn't here may hold its locks
            self._client, self._pid = None, os.getpid()
        if self._client is None:
            self._client = self._make()
        return self._client


class AsyncRedisClientStore(Store):
    """Keep values by an async client of the program's own, in the event loop that it belongs to."""

    def __init__(self, client: Any, *, age: float) -> None:
        self._client, self._age = client, age

    async def aget(self, names: Sequence[str]) -> Mapping[str, bytes]:
        """Return the values that are there."""
        found: dict[str, bytes] = {}
        for some in _newest_first(names):
            pipe = self._client.pipeline(transaction=False)
            for name in some:
                pipe.execute_command("GETRANGE", PREFIX + name, 0, MAX_VALUE, **_AS_BYTES)
            if _collect(found, some, await pipe.execute(raise_on_error=False)):
                break
        return found

    async def aput(self, name: str, value: bytes) -> None:
        """Keep a value, in place of an earlier one."""
        await self._client.set(PREFIX + name, value, px=int(self._age * 1000))

    async def adelete(self, names: Sequence[str]) -> None:
        """Forget values."""
        await self._unlink([PREFIX + name for name in names])

    async def aforget(self, pattern: str) -> int:
        """Forget every value whose name matches a pattern; return how many there were.

        Every primary is walked.
        """
        gone = 0
        async for some in _abatches(self._client.scan_iter(match=PREFIX + pattern, count=1000)):
            gone += await self._unlink(some)
        return gone

    async def _unlink(self, keys: list[Any]) -> int:
        pipe = self._client.pipeline(transaction=False)
        for key in keys:
            pipe.execute_command("UNLINK", key)  # `unlink` of a cluster takes several apart
        return sum(await pipe.execute())

    async def _aopen(self) -> None:
        """Connect before anybody waits for it."""
        await self._client.ping()

    def get(self, names: Sequence[str]) -> Mapping[str, bytes]:
        """Refuse: see _ASYNC."""
        raise AdapterError(_ASYNC_ONLY)

    def put(self, name: str, value: bytes) -> None:
        """Refuse: see _ASYNC."""
        raise AdapterError(_ASYNC_ONLY)

    def delete(self, names: Sequence[str]) -> None:
        """Refuse: see _ASYNC."""
        raise AdapterError(_ASYNC_ONLY)

    def forget(self, pattern: str) -> int:
        """Refuse: see _ASYNC."""
        raise AdapterError(_ASYNC_ONLY)

    def close(self) -> None:
        """Leave the client to its program."""


def _newest_first(names: Sequence[str]) -> Iterator[list[str]]:
    for end in range(len(names), 0, -_BATCH):
        yield list(names[max(end - _BATCH, 0) : end])


def _collect(found: dict[str, bytes], names: list[str], answers: list[Any]) -> bool:
    """Take values out of answers, and tell whether that is all there is room for.

    An error is raised where it isn't one value's.
    """
    errors = [answer for answer in answers if isinstance(answer, Exception)]
    if errors and len(errors) == len(answers):
        raise errors[0]
    found.update(
        (name, value)
        for name, value in zip(names, answers, strict=True)
        if value and isinstance(value, bytes)
    )
    return sum(map(len, found.values())) > MAX_TOTAL


def _batches(keys: Iterator[Any]) -> Iterator[list[Any]]:
    some: list[Any] = []
    for key in keys:
        some.append(key)
        if len(some) == _BATCH:
            yield some
            some = []
    if some:
        yield some


async def _abatches(keys: AsyncIterator[Any]) -> AsyncIterator[list[Any]]:
    some: list[Any] = []
    async for key in keys:
        some.append(key)
        if len(some) == _BATCH:
            yield some
            some = []
    if some:
        yield some


def make_store(location: StoreLocation, seconds: float) -> RedisClientStore:
    """Make the store of a cluster, or of a server that sentinels know."""
    make = _sentinel_client if location.hosts and location.service else _cluster_client
    return RedisClientStore(lambda: make(location, seconds), age=location.age)


def _cluster_client(location: StoreLocation, seconds: float) -> Any:
    redis = library()
    nodes = [redis.cluster.ClusterNode(host, port) for host, port in location.hosts]
    waits = {
        **client_timeouts(max(seconds, OPEN_TIMEOUT)),
        "retry": client_timeouts(seconds, _RETRIES)["retry"],
    }
    kwargs = {
        name: value
        for name, value in _client_options(location).items()
        if name not in ("host", "port", "db")
    }
    return redis.RedisCluster(startup_nodes=nodes, **kwargs, **waits)


def _sentinel_client(location: StoreLocation, seconds: float) -> Any:
    redis = library()
    kwargs = {
        name: value
        for name, value in _client_options(location).items()
        if name not in ("host", "port")
    }
    waits = client_timeouts(max(seconds, OPEN_TIMEOUT))
    secured = {name: value for name, value in kwargs.items() if name.startswith("ssl")}
    theirs = {name.removeprefix("sentinel_"): value for name, value in location.sentinels}
    sentinels = redis.sentinel.Sentinel(
        list(location.hosts), sentinel_kwargs={**secured, **theirs, **waits}, **kwargs, **waits
    )
    return sentinels.master_for(location.service)


def _client_options(location: StoreLocation) -> dict[str, Any]:
    """Return what redis-py's clients are told for a URL."""
    kwargs: dict[str, Any] = library().connection.parse_url(location.place)
    kwargs.pop("connection_class", None)
    if location.kind.startswith("rediss"):
        kwargs["ssl"] = True
    return kwargs


def check(location: StoreLocation) -> None:
    """Raise ValueError for options that redis-py doesn't take; nothing is connected."""
    redis = library()
    try:
        pool = redis.Redis.from_url(location.place).connection_pool
        pool.connection_class(**pool.connection_kwargs)
    except Exception as error:  # noqa: BLE001  # its own, TypeError, ValueError; the message may quote the URL
        problem = type(error).__name__
    else:
        return
    raise ValueError(f"has an option with a value that redis-py doesn't take ({problem})")


def store_of(client: Any, age: float) -> Store | None:
    """Return the store on a client of redis-py; None for any other object."""
    modules = [cls.__module__ for cls in type(client).__mro__]
    if not any(module.partition(".")[0] == "redis" for module in modules) or not hasattr(
        client, "pipeline"
    ):
        return None
    if any(module.startswith("redis.asyncio") for module in modules):
        return AsyncRedisClientStore(client, age=age)
    return RedisClientStore(lambda: client, age=age, borrowed=True)
