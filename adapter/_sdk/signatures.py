"""Methods of the adapter that look like the SDK's methods they replace.

Tracers choose a sync or async wrapper by `inspect.iscoroutinefunction` of a method, or of its
`__wrapped__`, and read arguments by its signature (docs/decisions.md#the-sdks-own-classes).
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from contextlib import suppress
from typing import Any


def with_signature_of(native: Any, *more: inspect.Parameter) -> Callable[[Any], Any]:
    """Return a decorator that gives a function a native one's name, docstring and signature.

    Also its `__wrapped__`. `more` are keyword-only parameters that only the decorated function
    has. Whether it is a coroutine function is up to its definition.
    """

    def decorate(own: Any) -> Any:
        functools.update_wrapper(own, native)
        inner = getattr(native, "__wrapped__", None)
        if inner is None or more:
            del own.__wrapped__
            with suppress(ValueError, TypeError):  # what a tracer has put there may have none
                signature = inspect.signature(native)
                wanted = signature.replace(parameters=_merged(signature, more))
                # Only if needed: `functools.wraps` of a bound method copies it with its `self`.
                if inspect.signature(own) != wanted:
                    own.__signature__ = wanted
        else:
            own.__wrapped__ = inner
        return own

    return decorate


def mirrored(native: Any, run: Callable[..., Any]) -> Any:
    """Make a method with a native one's parameters, which calls `run` with self and keywords.

    All parameters but the first must be keyword-only, as those of the SDK's resources are. Raise
    TypeError if they aren't.
    """
    code = native.__code__
    first, *names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    if (
        code.co_argcount != 1
        or code.co_posonlyargcount
        or code.co_flags & (inspect.CO_VARARGS | inspect.CO_VARKEYWORDS)
    ):
        raise TypeError(f"{native.__qualname__} has parameters that aren't keyword-only")
    begin, call = (
        ("async def", "await run") if inspect.iscoroutinefunction(native) else ("def", "run")
    )
    parameters, given = ", ".join(names), ", ".join(f"{name}={name}" for name in names)
    source = f"{begin} method({first}, *, {parameters}):\n    return {call}({first}, {given})\n"
    space: dict[str, Any] = {"run": run, "__name__": __name__}
    exec(source, space)  # noqa: S102  # as `collections.namedtuple`: parameters from data
    made = space["method"]
    made.__kwdefaults__ = native.__kwdefaults__
    return with_signature_of(native)(made)


def _merged(
    signature: inspect.Signature, more: tuple[inspect.Parameter, ...]
) -> list[inspect.Parameter]:
    given = [*signature.parameters.values()]
    at = len(given) - (bool(given) and given[-1].kind is inspect.Parameter.VAR_KEYWORD)
    return [*given[:at], *more, *given[at:]]
