"""Methods of ours that stand in the place of the SDK's look like those to whoever inspects them.

Tracers choose their sync or async wrapper by `inspect.iscoroutinefunction` of a method, or of its `__wrapped__`, and read arguments by its
signature.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from contextlib import suppress
from typing import Any


def with_signature_of(native: Any, *more: inspect.Parameter) -> Callable[[Any], Any]:
    """Return a decorator that gives a function the name, documentation, signature and `__wrapped__` of a native one.

    `more` are keyword-only parameters that only the decorated function has. Whether it is a coroutine function is for its definition.
    """

    def decorate(own: Any) -> Any:
        functools.update_wrapper(own, native)
        inner = getattr(native, "__wrapped__", None)
        if inner is None or more:
            del own.__wrapped__
            with suppress(ValueError, TypeError):  # what a tracer has put there may have none
                signature = inspect.signature(native)
                wanted = signature.replace(parameters=_merged(signature, more))
                # Where it isn't needed there is none: `functools.wraps` of a bound method would copy it, with its `self`.
                if inspect.signature(own) != wanted:
                    own.__signature__ = wanted
        else:
            own.__wrapped__ = inner
        return own

    return decorate


def mirrored(native: Any, run: Callable[..., Any]) -> Any:
    """Make a method with the parameters of a native one, which calls `run` with the object and the arguments by name.

    All parameters but the first must be for names only, as those of the SDK's resources are.
    """
    code = native.__code__
    first, *names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    if (
        code.co_argcount != 1
        or code.co_posonlyargcount
        or code.co_flags & (inspect.CO_VARARGS | inspect.CO_VARKEYWORDS)
    ):
        raise TypeError(f"{native.__qualname__} has parameters that aren't for names only")
    begin, call = (
        ("async def", "await run") if inspect.iscoroutinefunction(native) else ("def", "run")
    )
    parameters, given = ", ".join(names), ", ".join(f"{name}={name}" for name in names)
    source = f"{begin} method({first}, *, {parameters}):\n    return {call}({first}, {given})\n"
    space: dict[str, Any] = {"run": run, "__name__": __name__}
    exec(source, space)  # noqa: S102  # as `collections.namedtuple`: no other way to a function with given parameters
    made = space["method"]
    made.__kwdefaults__ = native.__kwdefaults__
    return with_signature_of(native)(made)


def _merged(
    signature: inspect.Signature, more: tuple[inspect.Parameter, ...]
) -> list[inspect.Parameter]:
    given = [*signature.parameters.values()]
    at = len(given) - (bool(given) and given[-1].kind is inspect.Parameter.VAR_KEYWORD)
    return [*given[:at], *more, *given[at:]]
