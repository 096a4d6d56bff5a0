"""Observers: who is told of calls, and that none of them can break one."""

from __future__ import annotations

import inspect
import logging
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from types import MethodType
from typing import Any

from .record import Record

logger = logging.getLogger("adapter")

Observer = Callable[[Record], object]


_Key = tuple[int, int]


# The observers that have raised, in any client of this process: by identity, since they need not be hashable. An entry leaves
# with its observer. No lock: the callbacks run wherever the collector does, and a dict's single operations are atomic.
_DROPPED: dict[_Key, Any] = {}


# Those that are told of the calls of every client; see observing.
_GLOBAL: tuple[tuple[_Key, Observer], ...] = ()


class Observers:
    """Tell records to observers, in order.

    An observer that raises is dropped for good, in the whole process, with one warning: the call is never lost for it.
    What isn't an Exception (an interrupt, a cancellation) passes. One that can't be referred to weakly is dropped here
    only. Falsy where there are none, so that no record need be made.
    """

    __slots__ = ("_dropped", "_observers")

    def __init__(self, observers: Iterable[Observer] = ()) -> None:
        self._observers = tuple((_key(observer), observer) for observer in observers)
        self._dropped: dict[_Key, Any] = {}

    def __bool__(self) -> bool:
        return bool(self._observers or _GLOBAL)

    def notify(self, record: Record) -> None:
        """Call each observer with a record."""
        for key, observer in (*self._observers, *_GLOBAL):
            if key in _DROPPED or key in self._dropped:
                continue
            try:
                made = observer(record)
                if inspect.iscoroutine(made):
                    made.close()
                    raise TypeError("an observer gave a coroutine, which nobody awaits")
            except Exception as error:  # noqa: BLE001  # whatever it was: it is not the call's
                self._drop(key, observer, error)

    def _drop(self, key: _Key, observer: Observer, error: Exception) -> None:
        def forget(gone: Any, home: dict[_Key, Any] = _DROPPED) -> None:
            if home.get(key) is gone:
                del home[key]

        entry: Any
        try:
            entry = (weakref.WeakMethod if isinstance(observer, MethodType) else weakref.ref)(
                observer, forget
            )
        except TypeError:
            home, entry = self._dropped, observer
        else:
            home = _DROPPED
        if (
            home.setdefault(key, entry) is entry
        ):  # of the threads in which it raises at once, one says so
            logger.warning("an observer raised %s and is dropped", type(error).__name__)


@contextmanager
def observing(observer: Observer) -> Iterator[None]:
    """Tell an observer of the calls of every client in this process, for a test run."""
    global _GLOBAL  # noqa: PLW0603
    entry = (_key(observer), observer)
    _GLOBAL = (*_GLOBAL, entry)
    try:
        yield
    finally:
        _GLOBAL = tuple(one for one in _GLOBAL if one is not entry)


def _key(observer: Observer) -> _Key:
    """Return what an observer is known by: bound methods are made anew with each access."""
    if isinstance(observer, MethodType):
        return id(observer.__self__), id(observer.__func__)
    return id(observer), 0


def check(observers: Sequence[Any]) -> None:
    """Raise ValueError for an observer that can't be called, or would have to be awaited."""
    for i, observer in enumerate(observers):
        if not callable(observer):
            raise ValueError(f"observers[{i}]: expected a callable, got {type(observer).__name__}")
        for function in (observer, getattr(type(observer), "__call__", None)):  # noqa: B004  # an async method of its class
            if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
                raise ValueError(
                    f"observers[{i}]: async callables are not supported: give a plain function"
                )
