"""Empty connection pools in a forked child, which leaves the connections to the parent.

A connection that was idle at the fork would be used by both processes, and one would get the
other's answer. The HTTP libraries don't handle forks, so the pools below the adapter's transports
are emptied here, whether a call is translated or not. Nothing is sent or shut down, which the
parent would notice (docs/decisions.md#forks).
"""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from adapter._util.fork import in_forked_child

_MAX_DEPTH = 8  # of wrapped transports, and of the objects that hold them
_MAX_ITEMS = 100  # a collection with more isn't one of transports

_TRANSPORTS: weakref.WeakSet[Any] = weakref.WeakSet()
# Kept, since closing them could disturb the parent, which shares its event loop's selector.
_INHERITED: list[Any] = []


def empty_after_fork(transport: Any) -> None:
    """Empty the pools below a transport in each child of this process."""
    _TRANSPORTS.add(transport)


def _pools(transport: Any) -> Iterator[Any]:
    """Yield the connection pools of a transport, and of those that it wraps in any attribute."""
    seen: set[int] = set()
    found = [transport]
    for _ in range(_MAX_DEPTH):
        fresh = [one for one in found if id(one) not in seen]
        seen.update(map(id, fresh))
        for one in fresh:
            # Private in httpx 0.27 to httpx2 2.16.
            pool = getattr(one, "__dict__", {}).get("_pool")
            if isinstance(getattr(pool, "_connections", None), list):
                yield pool
        found = [
            inner for one in fresh for inner in gc.get_referents(one) if _may_hold_transports(inner)
        ]


def _may_hold_transports(inner: Any) -> bool:
    """Return whether an object is a transport, or a collection that may hold some."""
    if isinstance(inner, (dict, list, tuple)):
        return len(inner) <= _MAX_ITEMS
    if isinstance(inner, type):
        return False
    return hasattr(inner, "handle_request") or hasattr(inner, "handle_async_request")


def _empty(pool: Any) -> None:
    """Take a pool's connections out of it; replies that are being read keep theirs."""
    connections, requests = pool._connections, pool._requests
    pool._connections = []
    # Requests that wait for one belong to other threads, which the child doesn't have.
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
    """Close an idle sync connection in this process; the socket stays open in the parent."""
    with suppress(Exception):  # private, in httpcore 1.0 to httpcore2 2.16
        if connection.is_idle():
            while not hasattr(connection, "_network_stream"):
                connection = connection._connection
            # Closing a TLS socket sends nothing either.
            connection._network_stream.get_extra_info("socket").close()


@in_forked_child
def _empty_all() -> None:
    for transport in list(_TRANSPORTS):
        with suppress(Exception):  # a custom transport may be anything
            for pool in list(_pools(transport)):
                _empty(pool)
