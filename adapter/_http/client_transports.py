"""Wrapping the transports of adapted clients' HTTP clients, until the last one is uninstalled."""

from __future__ import annotations

from threading import RLock
from typing import Any
from weakref import WeakKeyDictionary, WeakSet

from adapter._util.fork import in_forked_child

from .transport import unwrap, wrap

_CLIENTS: WeakKeyDictionary[Any, WeakSet[Any]] = WeakKeyDictionary()
INSTALL_LOCK = RLock()
"""Held while a client is installed, uninstalled or connected."""
in_forked_child(INSTALL_LOCK._at_fork_reinit)  # type: ignore[attr-defined]  # as in `threading`


def is_adapted(cls: type) -> bool:
    """Return whether a client's class is an adapted one."""
    return hasattr(cls, "_adapter_transport")


def connect(client: Any) -> None:
    """Wrap the transports of a client's HTTP client, once."""
    known = (id(client), client._client)  # a shallow copy has another id
    if client.__dict__.get("_adapter_connected") == known:
        return
    transport_class = getattr(client, "_adapter_transport", None)
    with INSTALL_LOCK:
        if transport_class is None or not is_adapted(type(client)):  # uninstalled meanwhile
            return
        users = _CLIENTS.setdefault(client._client, WeakSet())
        if client not in users:
            wrap(client._client, transport_class)
            users.add(client)
        client._adapter_connected = known


def disconnect(client: Any) -> None:
    """Disconnect a client from its HTTP client; unwrap that if no other client uses it."""
    users = _CLIENTS.get(client._client, WeakSet())
    users.discard(client)
    if not users:
        unwrap(client._client)
