"""`use(...)`: other settings for the calls that start inside a `with` block."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Literal, get_args

from adapter.errors import ConfigurationError
from adapter.journal import Backend
from adapter.translation.policy import Unsupported


@dataclass(frozen=True, slots=True)
class Overrides:
    """What the innermost `use(...)` says, with what the outer ones say beneath it."""

    backend: Backend | None = None
    unsupported: Unsupported | None = None
    drop: tuple[str, ...] = ()


_NONE = Overrides()
_CURRENT: ContextVar[Overrides] = ContextVar("adapter.use", default=_NONE)


def current() -> Overrides:
    """Return what holds for a call that starts here and now."""
    return _CURRENT.get()


@contextmanager
def use(
    *,
    backend: Literal["chat", "responses"] | None = None,
    unsupported: Literal["chat", "error", "drop"] | None = None,
    drop: Iterable[str] = (),
) -> Iterator[None]:
    """Override settings for the calls that start inside the block, in this thread or task.

    A `.stream()` starts at its `__enter__`. New threads need a copied context (`contextvars.copy_context().run`). What
    isn't given stays as it is outside; `drop` adds to what is dropped already. Raises ConfigurationError for values
    that don't exist.
    """
    _check("backend", backend, get_args(Backend))
    _check("unsupported", unsupported, get_args(Unsupported))
    outer = _CURRENT.get()
    dropped = (drop,) if isinstance(drop, str) else tuple(drop)
    inner = Overrides(backend or outer.backend, unsupported or outer.unsupported, (*outer.drop, *dropped))
    token = _CURRENT.set(inner)
    try:
        yield
    finally:
        _CURRENT.reset(token)


def _check(name: str, value: str | None, allowed: tuple[str, ...]) -> None:
    if value is not None and value not in allowed:
        raise ConfigurationError(f"{name}: expected {' or '.join(map(repr, allowed))}")
