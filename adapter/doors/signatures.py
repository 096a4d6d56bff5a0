"""Methods of ours that stand in the place of the SDK's look like those to whoever inspects them.

Tracers choose their sync or async wrapper by `inspect.iscoroutinefunction` of a method, or of its `__wrapped__`, and read arguments by its
signature.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any


def like(native: Any, *more: inspect.Parameter) -> Callable[[Any], Any]:
    """Return a decorator that gives a function the name, documentation, signature and `__wrapped__` of a native one.

    `more` are keyword-only parameters that only the decorated function has. Whether it is a coroutine function is for its definition.
    """

    def decorate(own: Any) -> Any:
        functools.update_wrapper(own, native)
        inner = getattr(native, "__wrapped__", None)
        if inner is None or more:
            del own.__wrapped__
            signature = inspect.signature(native)
            own.__signature__ = signature.replace(parameters=_merged(signature, more))
        else:
            own.__wrapped__ = inner
        return own

    return decorate


def _merged(signature: inspect.Signature, more: tuple[inspect.Parameter, ...]) -> list[inspect.Parameter]:
    given = [*signature.parameters.values()]
    at = len(given) - (bool(given) and given[-1].kind is inspect.Parameter.VAR_KEYWORD)
    return [*given[:at], *more, *given[at:]]
