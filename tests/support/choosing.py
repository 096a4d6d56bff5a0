"""Choose the route of a call whose body is known, or see what must be read for it."""

from __future__ import annotations

from typing import Any

from adapter._exchange.effects import Effect, ReadFlag
from adapter._exchange.record import Route
from adapter._routing.call import Call
from adapter._routing.rollout import rollout_key_gen
from adapter._routing.router import Router
from adapter._runtime.run import drive


def choose(router: Router, call: Call, flag: Any = None) -> Route:
    """Return the route of a call; reading its body fails the test."""

    def perform(effect: Effect) -> Any:
        assert isinstance(effect, ReadFlag), effect
        return flag

    return drive(router.choose_gen(call), perform)


def rollout_key(sticky_by: str, call: Call) -> str:
    """Return the rollout key of a call whose body is known."""

    def perform(effect: Effect) -> Any:
        raise AssertionError(effect)

    return drive(rollout_key_gen(sticky_by, call), perform)


def first_effect(router: Router, call: Call) -> Effect | None:
    """Return the first effect that choosing a call's route needs; None if it needs none."""
    return next(router.choose_gen(call), None)
