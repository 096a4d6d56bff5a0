"""Run a journey: perform each effect, send its result back in. Once for sync code, once for async code."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from adapter._exchange.effects import Effect, Exchange, Outcome


def drive(exchange: Exchange, perform: Callable[[Effect], Any]) -> Outcome:
    """Run a journey to its outcome. An exception from `perform` is thrown into the journey, which may take it or let it pass."""
    try:
        effect = next(exchange)
        while True:
            try:
                result = perform(effect)
            except Exception as error:  # noqa: BLE001  # it's the journey's to judge
                effect = exchange.throw(error)
            else:
                effect = exchange.send(result)
    except StopIteration as stop:
        outcome: Outcome = stop.value
        return outcome
    except RuntimeError as error:
        # a generator lets no StopIteration pass, as `perform` raises it where a test's transport has run out of replies
        if isinstance(error.__cause__, StopIteration):
            raise error.__cause__ from None
        raise


async def adrive(exchange: Exchange, perform: Callable[[Effect], Awaitable[Any]]) -> Outcome:
    """Run a journey to its outcome, awaiting each effect."""
    try:
        effect = next(exchange)
        while True:
            try:
                result = await perform(effect)
            except Exception as error:  # noqa: BLE001  # it's the journey's to judge
                effect = exchange.throw(error)
            else:
                effect = exchange.send(result)
    except StopIteration as stop:
        outcome: Outcome = stop.value
        return outcome
