"""Leaving a parent process its connections: a forked child begins with empty pools.

A connection that was idle at the fork would be used by both: their requests mix, and one gets the
other's answer. The HTTP libraries look after threads and not after forks, so what our transports
lead to is emptied here, whether a call is translated or not. Nothing is sent and nothing shut
down, which the parent would notice.
"""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from adapter._util.fork import in_forked_child

_MAX_DEPTH = 8  # of transports around transports, and of what holds them
_MAX_ITEMS = 100  # of what a list or dictionary holds; one with more is no list of transports

_TRANSPORTS: weakref.WeakSet[Any] = weakref.WeakSet()
_INHERITED: list[
    Any
] = []  # closing them could disturb the parent: an event loop's are registered in what both share


def empty_after_fork(transport: Any) -> None:
    """Empty the pools that a transport of ours leads to in each child of this process."""
    _TRANSPORTS.add(transport)


def _pools(transport: Any) -> Iterator[Any]:
    """Find the connection pools of a transport, and of those that it wraps, wherever it keeps them."""
    seen: set[int] = set()
    found = [transport]
    for _ in range(_MAX_DEPTH):
        fresh = [one for one in found if id(one) not in seen]
        seen.update(map(id, fresh))
        for one in fresh:
            pool = getattr(one, "__dict__", {}).get(
                "_pool"
            )  # private, in httpx 0.27 to httpx2 2.16
            if isinstance(getattr(pool, "_connections", None), list):
                yield pool
        found = [
            inner for one in fresh for inner in gc.get_referents(one) if _may_hold_transports(inner)
        ]


def _may_hold_transports(inner: Any) -> bool:
    """Tell whether something is a transport, or a collection that may hold some."""
    if isinstance(inner, (dict, list, tuple)):
        return len(inner) <= _MAX_ITEMS
    if isinstance(inner, type):
        return False
    return hasattr(inner, "handle_request") or hasattr(inner, "handle_async_request")


def _empty(pool: Any) -> None:
    """Take a pool's connections out of it; those under way stay with whoever reads from them."""
    connections, requests = pool._connections, pool._requests
    pool._connections = []
    # Those that wait are other threads', which this process doesn't have.
    pool._requests = [
        request for request in requests if getattr(request, "connection", None) is not None
    ]
    for name in ("_optional_thread_lock", "_pool_lock"):
        lock = getattr(pool, name, None)
        if lock is not None:  # another thread may hold it
            setattr(pool, name, type(lock)())
    _INHERITED.append(connections)
    if hasattr(pool, "handle_request"):
        for connection in connections:
            _close_idle(connection)


def _close_idle(connection: Any) -> None:
    """Close this process's end of an idle connection of sync code.

    A system's socket lives as long as one process has it open.
    """
    with suppress(Exception):  # private, in httpcore 1.0 to httpcore2 2.16
        if connection.is_idle():
            while not hasattr(connection, "_network_stream"):
                connection = connection._connection
            connection._network_stream.get_extra_info(
                "socket"
            ).close()  # TLS's, too, says nothing to the peer


@in_forked_child
def _empty_all() -> None:
    for transport in list(_TRANSPORTS):
        with suppress(Exception):  # a transport of the program's own may be anything
            for pool in list(_pools(transport)):
                _empty(pool)
