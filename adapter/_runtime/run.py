"""Running a generator of effects in sync and async code: perform each, send its result back."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator
from typing import Any, TypeVar

_R = TypeVar("_R")


def drive(steps: Generator[Any, Any, _R], perform: Callable[[Any], Any]) -> _R:
    """Run a generator to its result.

    An exception of `perform` is thrown into the generator, which may handle it.
    """
    try:
        effect = next(steps)
        while True:
            try:
                result = perform(effect)
            except BaseException as error:  # noqa: BLE001  # the generator decides
                effect = steps.throw(error)
            else:
                effect = steps.send(result)
    except StopIteration as stop:
        outcome: _R = stop.value
        return outcome
    except RuntimeError as error:
        # A generator turns StopIteration into RuntimeError. `perform` raises it where the transport
        # of a test has run out of replies.
        if isinstance(error.__cause__, StopIteration):
            raise error.__cause__ from None
        raise


async def adrive(steps: Generator[Any, Any, _R], perform: Callable[[Any], Awaitable[Any]]) -> _R:
    """Run a generator to its result, awaiting each effect. See `drive`."""
    try:
        effect = next(steps)
        while True:
            try:
                result = await perform(effect)
            except BaseException as error:  # noqa: BLE001  # as above
                effect = steps.throw(error)
            else:
                effect = steps.send(result)
    except StopIteration as stop:
        outcome: _R = stop.value
        return outcome
