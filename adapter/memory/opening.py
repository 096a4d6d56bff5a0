"""Which store a `memory` setting means: `memory://`, `sqlite:///path`, `redis://…`, or an object of the program's own."""

from __future__ import annotations

import atexit
import os
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from threading import RLock
from typing import Any
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit, urlunsplit

from adapter.errors import MissingExtra

from .in_process import InProcess

DAY = 86_400.0
_MIB = 1024 * 1024

_LIMITS: Mapping[str, Mapping[str, float]] = {
    "memory": {"count": 10_000, "bytes": 64 * _MIB, "age": DAY},
    "sqlite": {"count": 1_000_000, "bytes": 1024 * _MIB, "age": DAY},
    "redis": {"age": DAY},
    "rediss": {"age": DAY},
}
"""What each kind of store is bounded by, and the defaults: values, bytes, seconds. A URL's query may say otherwise."""

_EVERYTHING = "*"
_METHODS = ("get", "put", "delete", "forget", "aget", "aput", "adelete", "aforget")


@dataclass(frozen=True, slots=True)
class Address:
    """Where a store is: its kind, its place, and its bounds."""

    kind: str
    place: str
    count: int
    size: int
    age: float


def address(url: str) -> Address:
    """Read a store's URL. Raises ValueError for what is none, without the URL in it: it may hold a password."""
    try:
        parts = urlsplit(url)
    except ValueError:
        raise ValueError("not a URL") from None
    limits = _LIMITS.get(parts.scheme)
    if limits is None or not url.startswith(f"{parts.scheme}://"):
        raise ValueError("expected memory://, sqlite:///path, redis://… or rediss://…")
    given = parse_qsl(parts.query, keep_blank_values=True)
    bounds = {**limits, **{name: _number(name, value) for name, value in given if name in limits}}
    rest = [(name, value) for name, value in given if name not in limits]
    place = ""
    if parts.scheme in ("memory", "sqlite"):
        if rest:
            raise ValueError(f"{rest[0][0]}: not something that can be set here; known are {', '.join(limits)}")
        if parts.netloc or (parts.scheme == "memory" and parts.path not in ("", "/")):
            raise ValueError(
                f"expected {parts.scheme}://" + ("/path, with three slashes" if parts.scheme == "sqlite" else "")
            )
        if parts.scheme == "sqlite":
            if not parts.path[1:]:
                raise ValueError("sqlite:/// needs the path of a file")
            place = str(Path(unquote(parts.path[1:])).absolute())
    else:
        if find_spec("redis") is None:
            raise MissingExtra("redis:// needs redis-py: pip install 'chat-responses-adapter[redis]'")
        place = urlunsplit(parts._replace(query=urlencode(rest)))
    count, size = int(bounds.get("count", 0)), int(bounds.get("bytes", 0))
    return Address(parts.scheme, place, count, size, bounds["age"])


def _number(name: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0
    if not 0 < value < float("inf"):
        raise ValueError(f"{name}: expected a number above 0")
    return value


def check(memory: Any) -> None:
    """Raise ValueError for what is neither a store's URL nor a store."""
    if isinstance(memory, str):
        address(memory)
    elif not all(callable(getattr(memory, method, None)) for method in _METHODS):
        raise ValueError("expected the URL of a store, or an object with the methods of adapter.Store")


_OPENED: dict[tuple[Address, float], Any] = {}
_OPENING = RLock()


def opened(memory: Any, seconds: float) -> Any:
    """Return the store that a setting means; the same one for the same URL, in all of this process."""
    if not isinstance(memory, str):
        return memory
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
    from .redis import Redis

    return Redis(where.place, seconds=seconds, age=where.age)


def _unlock() -> None:
    global _OPENING  # noqa: PLW0603
    _OPENING = RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_unlock)  # a thread that the child doesn't have may hold the lock


def forget_all() -> None:
    """Empty what this process remembers, and close and forget its other stores: a test leaves nothing to the next."""
    for key, store in list(_OPENED.items()):
        if isinstance(store, InProcess):
            store.forget(_EVERYTHING)  # settings that live on hold it
        else:
            store.close()
            del _OPENED[key]
