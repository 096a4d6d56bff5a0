"""Which store a `memory` setting means: a URL's, a client's of redis-py, or an object of the program's own."""

from __future__ import annotations

import atexit
import sys
from pathlib import Path
from threading import RLock
from typing import Any

from adapter._util.fork import in_forked_child

from . import private_files
from .in_memory import InProcess
from .urls import DAY, Address, address, text_of

_EVERYTHING = "*"
_METHODS = ("get", "put", "delete", "forget", "aget", "aput", "adelete", "aforget")


def check(memory: Any) -> None:
    """Raise ValueError for what is neither a store's URL nor a store, or can't be used as it is."""
    memory = text_of(memory)
    if isinstance(memory, str):
        where = address(memory)
        if where.kind == "sqlite":
            private_files.check(Path(where.place))
        elif where.kind != "memory":
            from . import redis_client

            redis_client.check(where)
    elif _client_store(memory) is None and not all(callable(getattr(memory, method, None)) for method in _METHODS):
        raise ValueError(
            "expected the URL of a store, a client of redis-py, or an object with the methods of adapter.Store"
        )


def _client_store(memory: Any) -> Any:
    if "redis" not in sys.modules:  # whoever has a client has imported it
        return None
    from . import redis_client

    return redis_client.store_of(memory, DAY)


_OPENED: dict[tuple[Address, float], Any] = {}
_OPENING = RLock()


def opened(memory: Any, seconds: float) -> Any:
    """Return the store that a setting means; the same one for the same URL, in all of this process."""
    memory = text_of(memory)
    if not isinstance(memory, str):
        return _client_store(memory) or memory
    where = address(memory)
    key = where, 0.0 if where.kind == "memory" else seconds
    store = _OPENED.get(key)
    if store is None:
        with _OPENING:
            store = _OPENED.setdefault(key, _made(*key))
    return store


def _made(where: Address, seconds: float) -> Any:
    if where.kind == "memory":
        return InProcess(count=where.count, size=where.size, age=where.age)
    atexit.unregister(forget_all)
    atexit.register(forget_all)  # Python 3.13 warns of databases that nobody has closed
    if where.kind == "sqlite":
        from .sqlite import SQLite

        return SQLite(Path(where.place), seconds=seconds, count=where.count, size=where.size, age=where.age)
    if where.hosts:
        from . import redis_client

        return redis_client.made(where, seconds)
    from .redis import Redis, library

    library()  # takes its time, which no call has
    return Redis(where.place, seconds=seconds, age=where.age)


@in_forked_child  # a thread that the child doesn't have may hold the lock
def _unlock() -> None:
    global _OPENING  # noqa: PLW0603
    _OPENING = RLock()


def forget_all() -> None:
    """Empty what this process remembers, and close and forget its other stores: a test leaves nothing to the next."""
    for key, store in list(_OPENED.items()):
        if isinstance(store, InProcess):
            store.forget(_EVERYTHING)  # settings that live on hold it
        else:
            store.close()
            del _OPENED[key]
