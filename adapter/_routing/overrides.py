"""`use(...)`: other settings for the calls that start inside a `with` block."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from typing import Literal, get_args

from adapter._exchange.record import Backend
from adapter._settings.validation import Emulated, check_parameter
from adapter.errors import ConfigurationError
from adapter.translation.policy import Unsupported


@dataclass(frozen=True, slots=True)
class Overrides:
    """The values of the innermost `use(...)`, merged with those of the outer ones."""

    backend: Backend | None = None
    conversation: str | None = None
    tag: str | None = None
    unsupported: Unsupported | None = None
    drop: tuple[str, ...] = ()
    emulate: tuple[str, ...] = ()
    keeps_policies: bool = field(init=False)  # the settings' policies apply unchanged

    def __post_init__(self) -> None:
        object.__setattr__(
            self, "keeps_policies", self.unsupported is None and not self.drop and not self.emulate
        )


NO_OVERRIDES = Overrides()
FAILED_OVERRIDES = Overrides(backend="chat")
"""The overrides inside a `use(...)` on which the adapter itself failed."""
_CURRENT: ContextVar[Overrides] = ContextVar("adapter.use", default=NO_OVERRIDES)
_GLOBAL_BACKEND: Backend | None = None  # see override_globally


def current_overrides() -> Overrides:
    """Return the overrides for a call that starts in this context."""
    found = _CURRENT.get()
    return (
        found
        if _GLOBAL_BACKEND is None or found.backend is not None
        else replace(found, backend=_GLOBAL_BACKEND)
    )


@contextmanager
def override_globally(backend: Backend) -> Iterator[None]:
    """Apply a `use(backend=…)` to the whole process, for a test run.

    It holds in all threads and tasks, for all clients, earlier ones included. A `use()` that names
    a backend, the header and `force` beat it.
    """
    global _GLOBAL_BACKEND  # noqa: PLW0603
    before, _GLOBAL_BACKEND = _GLOBAL_BACKEND, backend
    try:
        yield
    finally:
        _GLOBAL_BACKEND = before


@contextmanager
def use(
    *,
    backend: Literal["chat", "responses"] | None = None,
    conversation: str | None = None,
    tag: str | None = None,
    drop: Iterable[str] = (),
    emulate: Iterable[str] = (),
    unsupported: Literal["chat", "error", "drop"] | None = None,
) -> Iterator[None]:
    """Override settings for the calls that start inside the block, in this thread or task.

    `conversation` names the conversation of the calls (a rollout keeps it on one backend); rules
    match the `tag`. A `.stream()` starts at its `__enter__`. New threads need a copied context
    (`contextvars.copy_context().run`). Arguments that aren't given keep their outer values; `drop`
    and `emulate` add to them. `force` can't be overridden. Raises ConfigurationError for invalid
    values.
    """
    outer = _CURRENT.get()
    try:
        inner = _merged(outer, backend, conversation, tag, drop, emulate, unsupported)
    except (ConfigurationError, TypeError):  # misuse
        raise
    except Exception:  # noqa: BLE001  # an error of the adapter: the calls go to Chat
        inner = FAILED_OVERRIDES
    token = _CURRENT.set(inner)
    try:
        yield
    finally:
        _CURRENT.reset(token)


def _merged(  # noqa: PLR0917  # the arguments of `use`
    outer: Overrides,
    backend: Backend | None,
    conversation: str | None,
    tag: str | None,
    drop: Iterable[str],
    emulate: Iterable[str],
    unsupported: Unsupported | None,
) -> Overrides:
    """Return the arguments of `use` over the outer ones; raise ConfigurationError if invalid."""
    _check("backend", backend, get_args(Backend))
    _check("unsupported", unsupported, get_args(Unsupported))
    for name, value in (("conversation", conversation), ("tag", tag)):
        if value is not None and not isinstance(value, str):
            raise ConfigurationError(f"{name}: expected a string, got {type(value).__name__}")
    dropped, emulated = _as_tuple(drop), _as_tuple(emulate)
    for name in emulated:
        _check("emulate", name, get_args(Emulated))
    for name in dropped:
        try:
            check_parameter(name)
        except ValueError as error:
            raise ConfigurationError(f"drop: {error}") from None
    return Overrides(
        backend or outer.backend,
        outer.conversation if conversation is None else conversation,
        outer.tag if tag is None else tag,
        unsupported or outer.unsupported,
        (*outer.drop, *dropped),
        (*outer.emulate, *emulated),
    )


def _as_tuple(given: Iterable[str]) -> tuple[str, ...]:
    return (given,) if isinstance(given, str) else tuple(given)


def _check(name: str, value: str | None, allowed: tuple[str, ...]) -> None:
    if value is not None and value not in allowed:
        raise ConfigurationError(f"{name}: expected {' or '.join(map(repr, allowed))}")
