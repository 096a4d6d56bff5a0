"""Call observers with records, so that no observer can break a call."""

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


# The observers that have raised, in any client of this process, by identity, since they need not be
# hashable. An entry is removed with its observer. No lock: weakref callbacks run wherever the
# garbage collector does, and single operations on a dict are atomic.
_REMOVED: dict[_Key, Any] = {}


# The observers of the calls of every client; see `observing`.
_GLOBAL: tuple[tuple[_Key, Observer], ...] = ()


class Observers:
    """Call observers with records, in order.

    An observer that raises an Exception is removed in the whole process, with one warning, and the
    call continues (docs/decisions.md#records). Other exceptions (an interrupt, a cancellation)
    propagate. An observer without weak references is only removed here. Falsy if there are no
    observers, so that no record need be made.
    """

    __slots__ = ("_observers", "_removed")

    def __init__(self, observers: Iterable[Observer] = ()) -> None:
        self._observers = tuple((_key(observer), observer) for observer in observers)
        self._removed: dict[_Key, Any] = {}

    def __bool__(self) -> bool:
        return bool(self._observers or _GLOBAL)

    def notify(self, record: Record) -> None:
        """Call each observer with a record."""
        for key, observer in (*self._observers, *_GLOBAL):
            if key in _REMOVED or key in self._removed:
                continue
            try:
                result = observer(record)
                if inspect.iscoroutine(result):
                    result.close()
                    raise TypeError("an observer returned a coroutine, which is never awaited")
            except Exception as error:  # noqa: BLE001  # must not fail the call
                self._remove(key, observer, error)

    def _remove(self, key: _Key, observer: Observer, error: Exception) -> None:
        def forget(reference: Any, removed: dict[_Key, Any] = _REMOVED) -> None:
            if removed.get(key) is reference:
                del removed[key]

        entry: Any
        try:
            entry = (weakref.WeakMethod if isinstance(observer, MethodType) else weakref.ref)(
                observer, forget
            )
        except TypeError:
            removed, entry = self._removed, observer
        else:
            removed = _REMOVED
        # If it raises in several threads at once, one of them warns.
        if removed.setdefault(key, entry) is entry:
            logger.warning("an observer raised %s and was removed", type(error).__name__)


@contextmanager
def observing(observer: Observer) -> Iterator[None]:
    """Add an observer of the calls of every client in this process, for a test run."""
    global _GLOBAL  # noqa: PLW0603
    entry = (_key(observer), observer)
    _GLOBAL = (*_GLOBAL, entry)
    try:
        yield
    finally:
        _GLOBAL = tuple(one for one in _GLOBAL if one is not entry)


def _key(observer: Observer) -> _Key:
    """Return the identity of an observer; a bound method is a new object on each access."""
    if isinstance(observer, MethodType):
        return id(observer.__self__), id(observer.__func__)
    return id(observer), 0


def check(observers: Sequence[Any]) -> None:
    """Raise ValueError for an observer that isn't callable or is async."""
    for i, observer in enumerate(observers):
        if not callable(observer):
            raise ValueError(f"observers[{i}]: expected a callable, got {type(observer).__name__}")
        its_call = getattr(type(observer), "__call__", None)  # noqa: B004  # may be async
        for function in (observer, its_call):
            if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
                raise ValueError(
                    f"observers[{i}]: async callables are not supported: give a plain function"
                )
