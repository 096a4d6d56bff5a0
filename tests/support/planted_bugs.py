"""Bugs planted into the package: which functions a call runs, and an exception at their entry.

A plant replaces a function's code, not the function, so that every table and every `from … import`
that holds it fails as well. Code that is created in each call (a lambda, a comprehension, a nested
function) is replaced among the constants of the code that creates it.
"""

from __future__ import annotations

import functools
import gc
import inspect
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import CodeType, FrameType, FunctionType
from typing import Any

import adapter

ROOT = str(Path(adapter.__file__).parent)


class PlantedError(Exception):
    """A stand-in for any bug."""


@dataclass
class Alarm:
    """The exception to raise, and the value of `sent` when it was first raised.

    `sent` counts the requests sent so far.
    """

    error: Callable[[], BaseException] = PlantedError
    count: Callable[[], int] = int
    sent: int | None = None
    raised: list[BaseException] = field(default_factory=list)

    def go_off(self) -> BaseException:
        """Record the first time, and return the exception."""
        if self.sent is None:
            self.sent = self.count()
        made = self.error()
        self.raised.append(made)
        return made


ALARM: Alarm = Alarm()


def _function(*args: Any, **kwargs: Any) -> Any:
    from tests.support import planted_bugs  # noqa: PLW0406  # replaces other code

    raise planted_bugs.ALARM.go_off()


def _generator(*args: Any, **kwargs: Any) -> Any:
    from tests.support import planted_bugs  # noqa: PLW0406  # replaces other code

    raise planted_bugs.ALARM.go_off()
    yield


async def _coroutine(*args: Any, **kwargs: Any) -> Any:
    from tests.support import planted_bugs  # noqa: PLW0406  # replaces other code

    raise planted_bugs.ALARM.go_off()


async def _async_generator(*args: Any, **kwargs: Any) -> Any:
    from tests.support import planted_bugs  # noqa: PLW0406  # replaces other code

    raise planted_bugs.ALARM.go_off()
    yield


_PLANTS = {
    inspect.CO_GENERATOR: _generator,
    inspect.CO_COROUTINE: _coroutine,
    inspect.CO_ASYNC_GENERATOR: _async_generator,
}


def _bad(code: CodeType) -> CodeType:
    """Return code that raises.

    It is of the same kind, with as many free variables as the function's closure.
    """
    plant = next((plant for flag, plant in _PLANTS.items() if code.co_flags & flag), _function)
    names = {
        "co_filename": code.co_filename,
        "co_name": code.co_name,
        "co_qualname": code.co_qualname,
    }
    return plant.__code__.replace(co_freevars=code.co_freevars, **names)


def name_of(code: CodeType) -> str:
    """Return a function's module and name."""
    module = Path(code.co_filename).relative_to(ROOT).with_suffix("")
    return f"{'.'.join(module.parts)}:{code.co_qualname}"


def ran(run: Callable[[], Any]) -> set[CodeType]:
    """Run something twice; return the package's functions that ran the second time.

    Functions of all threads are included.
    """
    run()
    clear_caches()
    seen: set[CodeType] = set()

    def look(frame: FrameType, event: str, _: Any) -> None:
        if event == "call":
            seen.add(frame.f_code)

    threading.setprofile(look)
    sys.setprofile(look)
    try:
        run()
    finally:
        sys.setprofile(None)
        threading.setprofile(None)  # type: ignore[arg-type]
    return {code for code in seen if code.co_filename.startswith(ROOT)}


def _index() -> tuple[dict[CodeType, list[FunctionType]], dict[CodeType, list[CodeType]]]:
    """Find the package's functions by their code, and which code creates which."""
    functions: dict[CodeType, list[FunctionType]] = {}
    makers: dict[CodeType, list[CodeType]] = {}
    frozen = gc.get_freeze_count() > 0
    gc.unfreeze()  # frozen objects aren't listed
    objects = gc.get_objects()
    if frozen:
        gc.freeze()
    for one in objects:
        if isinstance(one, FunctionType) and one.__code__.co_filename.startswith(ROOT):
            functions.setdefault(one.__code__, []).append(one)
    todo = list(functions)
    while todo:
        maker = todo.pop()
        for inner in maker.co_consts:
            if isinstance(inner, CodeType):
                if inner not in makers:
                    todo.append(inner)
                makers.setdefault(inner, []).append(maker)
    return functions, makers


class Garden:
    """Plant exceptions into the functions that existed when it was made."""

    def __init__(self) -> None:
        self._functions, self._makers = _index()

    def can(self, code: CodeType) -> bool:
        """Return whether there is a function to plant it into."""
        return code in self._functions or code in self._makers

    @contextmanager
    def planted(
        self,
        code: CodeType,
        count: Callable[[], int] = int,
        error: Callable[[], BaseException] = PlantedError,
    ) -> Iterator[Alarm]:
        """Make a function raise whenever it is called."""
        global ALARM  # noqa: PLW0603
        before: dict[int, tuple[FunctionType, CodeType]] = {}
        ALARM = Alarm(error, count)
        self._put(code, _bad(code), before)
        clear_caches()
        try:
            yield ALARM
        finally:
            for function, was in before.values():
                function.__code__ = was
            clear_caches()

    def _put(
        self, code: CodeType, other: CodeType, before: dict[int, tuple[FunctionType, CodeType]]
    ) -> None:
        for function in self._functions.get(code, ()):
            before.setdefault(id(function), (function, function.__code__))
            function.__code__ = other
        for maker in self._makers.get(code, ()):
            constants = tuple(
                other if one is code or one == code else one for one in maker.co_consts
            )
            self._put(maker, maker.replace(co_consts=constants), before)


@functools.cache
def _caches() -> list[Any]:
    modules = [
        module for name, module in sys.modules.items() if name.partition(".")[0] == "adapter"
    ]
    return [
        value
        for module in modules
        for value in vars(module).values()
        if hasattr(value, "cache_clear")
    ]


def clear_caches() -> None:
    """Clear the caches of the package's functions."""
    for cached in _caches():
        cached.cache_clear()
