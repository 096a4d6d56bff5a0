"""Running an exchange: perform each effect and send its result back, in sync and async code."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from adapter._exchange.effects import Effect, Exchange, Outcome


def drive(exchange: Exchange, perform: Callable[[Effect], Any]) -> Outcome:
    """Run an exchange to its outcome.

    An exception of `perform` is thrown into the exchange, which may handle it.
    """
    try:
        effect = next(exchange)
        while True:
            try:
                result = perform(effect)
            except Exception as error:  # noqa: BLE001  # the exchange decides
                effect = exchange.throw(error)
            else:
                effect = exchange.send(result)
    except StopIteration as stop:
        outcome: Outcome = stop.value
        return outcome
    except RuntimeError as error:
        # A generator turns StopIteration into RuntimeError. `perform` raises it where the transport
        # of a test has run out of replies.
        if isinstance(error.__cause__, StopIteration):
            raise error.__cause__ from None
        raise


async def adrive(exchange: Exchange, perform: Callable[[Effect], Awaitable[Any]]) -> Outcome:
    """Run an exchange to its outcome, awaiting each effect. See `drive`."""
    try:
        effect = next(exchange)
        while True:
            try:
                result = await perform(effect)
            except Exception as error:  # noqa: BLE001  # the exchange decides
                effect = exchange.throw(error)
            else:
                effect = exchange.send(result)
    except StopIteration as stop:
        outcome: Outcome = stop.value
        return outcome
