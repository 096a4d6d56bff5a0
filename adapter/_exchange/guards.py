"""Guards: a failure of the adapter that needn't cost the call (docs/decisions.md#internal-errors).

With `on_internal_error="raise"` they let the exception through.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any, ParamSpec, TypeVar

from .effects import Effect
from .record import Route

_P = ParamSpec("_P")
_R = TypeVar("_R")
_D = TypeVar("_D")


def guarded(
    route: Route, default: _D, function: Callable[_P, _R], *args: _P.args, **kwargs: _P.kwargs
) -> _R | _D:
    """Call a function, and return `default` if it raises an exception."""
    try:
        return function(*args, **kwargs)
    except Exception:
        if route.strict:
            raise
        return default


def attempt_gen(route: Route, effect: Effect, default: Any = None) -> Generator[Effect, Any, Any]:
    """Yield an effect, and return `default` if it fails."""
    try:
        return (yield effect)
    except Exception:
        if route.strict:
            raise
        return default
