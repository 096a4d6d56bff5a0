"""Which store a `memory` setting means: a URL's, a client's of redis-py, or an object of the program's own."""

from __future__ import annotations

import atexit
import sys
from pathlib import Path
from threading import RLock
from typing import Any

from adapter._util.fork import in_forked_child

from . import private_files
from .in_memory import InMemoryStore
from .urls import DAY, StoreLocation, parse_store_url, plain_url

_EVERYTHING = "*"
_METHODS = ("get", "put", "delete", "forget", "aget", "aput", "adelete", "aforget")


def check(memory: Any) -> None:
    """Raise ValueError for what is neither a store's URL nor a store, or can't be used as it is."""
    memory = plain_url(memory)
    if isinstance(memory, str):
        location = parse_store_url(memory)
        if location.kind == "sqlite":
            private_files.check(Path(location.place))
        elif location.kind != "memory":
            from . import redis_client

            redis_client.check(location)
    elif _client_store(memory) is None and not all(
        callable(getattr(memory, method, None)) for method in _METHODS
    ):
        raise ValueError(
            "expected the URL of a store, a client of redis-py, or an object with the methods of adapter.Store"
        )


def _client_store(memory: Any) -> Any:
    if "redis" not in sys.modules:  # whoever has a client has imported it
        return None
    from . import redis_client

    return redis_client.store_of(memory, DAY)


_OPENED: dict[tuple[StoreLocation, float], Any] = {}
_OPEN_LOCK = RLock()


def open_store(memory: Any, seconds: float) -> Any:
    """Return the store that a setting means; the same one for the same URL, in all of this process."""
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
    if location.kind == "memory":
        return InMemoryStore(count=location.count, size=location.size, age=location.age)
    atexit.unregister(reset_stores)
    atexit.register(reset_stores)  # Python 3.13 warns of databases that nobody has closed
    if location.kind == "sqlite":
        from .sqlite import SQLiteStore

        return SQLiteStore(
            Path(location.place),
            seconds=seconds,
            count=location.count,
            size=location.size,
            age=location.age,
        )
    if location.hosts:
        from . import redis_client

        return redis_client.make_store(location, seconds)
    from .redis import RedisStore, library

    library()  # takes its time, which no call has
    return RedisStore(location.place, seconds=seconds, age=location.age)


@in_forked_child  # a thread that the child doesn't have may hold the lock
def _reset_lock() -> None:
    global _OPEN_LOCK  # noqa: PLW0603
    _OPEN_LOCK = RLock()


def reset_stores() -> None:
    """Empty what this process remembers, and close and forget its other stores: a test leaves nothing to the next."""
    for key, store in list(_OPENED.items()):
        if isinstance(store, InMemoryStore):
            store.forget(_EVERYTHING)  # settings that live on hold it
        else:
            store.close()
            del _OPENED[key]
