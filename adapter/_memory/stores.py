"""The kinds of stores, and the one that a `memory` setting means.

The setting is a URL, a client of redis-py, or an object of the program's own.
"""

from __future__ import annotations

import atexit
import sys
from collections.abc import Mapping
from pathlib import Path
from threading import RLock
from typing import Any, Literal

from adapter._util.fork import in_forked_child

from . import private_files, urls
from .in_memory import InMemoryStore
from .urls import DAY, StoreKind, StoreLocation, parse_url, plain_url

_MIB = 1024 * 1024
_EVERYTHING = "*"
_METHODS = ("get", "put", "delete", "forget", "aget", "aput", "adelete", "aforget")


def _check_nothing(_: StoreLocation) -> None:
    """Accept every location."""


def _check_file(location: StoreLocation) -> None:
    private_files.check(Path(location.place))


def _check_redis(location: StoreLocation) -> None:
    from . import redis

    redis.check(location)


def _make_in_memory(location: StoreLocation, _: float) -> Any:
    return InMemoryStore(count=location.count, size=location.size, age=location.age)


def _make_sqlite(location: StoreLocation, seconds: float) -> Any:
    from .sqlite import SQLiteStore

    return SQLiteStore(
        Path(location.place),
        seconds=seconds,
        count=location.count,
        size=location.size,
        age=location.age,
    )


def _make_redis(location: StoreLocation, seconds: float) -> Any:
    from . import redis, redis_server

    if location.kind in ("redis", "unix"):
        return redis_server.make_store(location, seconds)
    return redis.make_store(location, seconds)


_CLUSTER_OPTIONS = urls.REDIS_OPTIONS - {"db"}
_SENTINEL_OPTIONS = urls.REDIS_OPTIONS | urls.SENTINEL_OPTIONS


def _redis_kind(
    options: frozenset[str],
    example: str = "",
    *,
    tls: bool = False,
    shared_by: Literal["machine", "machines"] = "machines",
) -> StoreKind:
    """Return a row for Redis."""
    return StoreKind(
        limits={"age": DAY},
        options=options | (urls.TLS_OPTIONS if tls else frozenset()),
        locate=urls.locate_redis,
        check=_check_redis,
        make=_make_redis,
        shared_by=shared_by,
        example=example,
    )


STORES: Mapping[str, StoreKind] = {
    "memory": StoreKind(
        limits={"count": 10_000, "bytes": 64 * _MIB, "age": DAY},
        options=frozenset(),
        locate=urls.locate_in_memory,
        check=_check_nothing,
        make=_make_in_memory,
        shared_by="process",
        example="memory://",
    ),
    "sqlite": StoreKind(
        limits={"count": 1_000_000, "bytes": 1024 * _MIB, "age": DAY},
        options=frozenset(),
        locate=urls.locate_file,
        check=_check_file,
        make=_make_sqlite,
        shared_by="machine",
        example="sqlite:///path",
    ),
    "redis": _redis_kind(urls.REDIS_OPTIONS, "redis://…"),
    "rediss": _redis_kind(urls.REDIS_OPTIONS, "rediss://…", tls=True),
    "unix": _redis_kind(urls.REDIS_OPTIONS, "unix:///path", shared_by="machine"),
    "redis+cluster": _redis_kind(_CLUSTER_OPTIONS, "redis+cluster://…"),
    "rediss+cluster": _redis_kind(_CLUSTER_OPTIONS, tls=True),
    "redis+sentinel": _redis_kind(_SENTINEL_OPTIONS, "redis+sentinel://…"),
    "rediss+sentinel": _redis_kind(_SENTINEL_OPTIONS, tls=True),
}
"""Every kind of store, by the scheme of its URLs."""


def parse_store_url(url: str) -> StoreLocation:
    """Return the location that a store's URL names. Raises ValueError, without quoting the URL."""
    return parse_url(url, STORES)


def check(memory: Any) -> None:
    """Raise ValueError for what is neither a store's URL nor a store, or can't be used as it is."""
    memory = plain_url(memory)
    if isinstance(memory, str):
        location = parse_store_url(memory)
        STORES[location.kind].check(location)
    elif _client_store(memory) is None and not all(
        callable(getattr(memory, method, None)) for method in _METHODS
    ):
        raise ValueError(
            "expected the URL of a store, a client of redis-py, "
            "or an object with the methods of adapter.Store"
        )


def _client_store(memory: Any) -> Any:
    if "redis" not in sys.modules:  # a program that has a client has imported it
        return None
    from . import redis

    return redis.store_of(memory, DAY)


_OPENED: dict[tuple[StoreLocation, float], Any] = {}
_OPEN_LOCK = RLock()


def open_store(memory: Any, seconds: float) -> Any:
    """Return the store that a setting means, the same one for the same URL in this process."""
    memory = plain_url(memory)
    if not isinstance(memory, str):
        return _client_store(memory) or memory
    location = parse_store_url(memory)
    key = location, 0.0 if location.kind == "memory" else seconds
    store = _OPENED.get(key)
    if store is None:
        with _OPEN_LOCK:
            store = _OPENED.setdefault(key, _create(*key))
    return store


def _create(location: StoreLocation, seconds: float) -> Any:
    if location.kind != "memory":
        atexit.unregister(reset_stores)
        atexit.register(reset_stores)  # Python 3.13 warns of databases that aren't closed
    return STORES[location.kind].make(location, seconds)


@in_forked_child  # a thread that the child doesn't have may hold the lock
def _reset_lock() -> None:
    global _OPEN_LOCK  # noqa: PLW0603
    _OPEN_LOCK = RLock()


def reset_stores() -> None:
    """Empty the in-memory stores, and close and drop all others, so that tests are independent."""
    for key, store in list(_OPENED.items()):
        if isinstance(store, InMemoryStore):
            store.forget(_EVERYTHING)  # settings that are still in use hold it
        else:
            store.close()
            del _OPENED[key]
