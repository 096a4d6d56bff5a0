"""Stand-ins for what clients require and replays don't use: keys, and Azure's endpoint and version.

- `set_stand_ins()` sets them in the environment of a test that replays, if no key is set.
- `allow_keyless_clients(...)` is for clients made when modules are imported. The variables exist
  only while a client is made, so that other code, such as `skipif(not os.environ.get(...))`,
  doesn't take the stand-in for a key.

A key that is set is never replaced. A request with the stand-in that would leave for a server
raises `KeyNeeded` (docs/guides/test-both-sides.md#keys).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from functools import wraps
from types import ModuleType
from typing import TYPE_CHECKING, Any

from .transports import NetworkExits, header_pairs, replaced

if TYPE_CHECKING:
    from importlib.machinery import ModuleSpec

HOST = "recorded.invalid"
"""The host in cassettes, in place of the real one; the reserved top-level domain never resolves."""

STAND_IN = "replay-only"

_KEY = {"OPENAI_API_KEY": STAND_IN}
_AZURE_KEY = {"AZURE_OPENAI_API_KEY": STAND_IN}
_AZURE = {**_AZURE_KEY, "AZURE_OPENAI_ENDPOINT": f"https://{HOST}", "OPENAI_API_VERSION": STAND_IN}
_ALTERNATIVES = {
    "OPENAI_API_KEY": "OPENAI_ADMIN_KEY",
    "AZURE_OPENAI_API_KEY": "AZURE_OPENAI_AD_TOKEN",
}
"""The variables that serve in place of a key."""

_NAMES = (_KEY | _AZURE).keys()

_CLIENT_CLASSES: Mapping[str, Mapping[str, Mapping[str, str]]] = {
    "openai": {
        "OpenAI": _KEY,
        "AsyncOpenAI": _KEY,
        "AzureOpenAI": _AZURE,
        "AsyncAzureOpenAI": _AZURE,
    },
    "langchain_openai.chat_models.base": {"ChatOpenAI": _KEY},
    "langchain_openai.chat_models.azure": {"AzureChatOpenAI": _AZURE},
    "pydantic_ai.providers.openai": {"OpenAIProvider": _KEY},
    "pydantic_ai.providers.azure": {"AzureProvider": _AZURE},
}
"""The classes that require a key, by module, with the variables that each looks up.

These are the SDK's clients, and classes that look for a key before they make one.
"""


ChooseStandIns = Callable[[Mapping[str, str]], Mapping[str, str]]
"""Chooses which stand-ins for missing variables to set while a client is made."""


class KeyNeeded(BaseException):
    """A call would have left with the stand-in for a key.

    A BaseException, so that no `except Exception` takes it for a failure of the server.
    """

    def __init__(self) -> None:
        super().__init__(
            "a call would have been sent with the stand-in for a key that replays use: "
            "set OPENAI_API_KEY (Azure: AZURE_OPENAI_API_KEY) to record or to call a server, "
            "or replay it from a cassette"
        )


def _missing(wanted: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that are unset or blank; CI systems leave missing secrets blank."""
    return {
        name: value
        for name, value in wanted.items()
        if not os.environ.get(name, "").strip() and not os.environ.get(_ALTERNATIVES.get(name, ""))
    }


def variables_present() -> frozenset[str]:
    """Return the names that are set; if one is missing later, the suite has removed it."""
    return frozenset(_NAMES - _missing(dict.fromkeys(_NAMES, "")).keys())


_stand_ins_settled = ContextVar("adapter.testing.settled", default=False)


@contextmanager
def set_stand_ins(*, settled: bool = False) -> Iterator[None]:
    """Set the stand-in for a key in the environment, if no key is set.

    With `settled`, a nested call in the block sets nothing, so that a variable which a fixture
    removes stays removed. In an environment for Azure only Azure's key is set: the SDK's
    module-level client refuses both together.
    """
    if _stand_ins_settled.get():
        yield
        return
    azures = any(name.startswith("AZURE_OPENAI_") and value for name, value in os.environ.items())
    # Only set if needed: an async fixture may end in another context, where it can't be reset.
    token = _stand_ins_settled.set(True) if settled else None
    try:
        with _set(_missing(_AZURE_KEY if azures else _KEY)):
            yield
    finally:
        if token is not None:
            _stand_ins_settled.reset(token)


@contextmanager
def _set(variables: Mapping[str, str]) -> Iterator[None]:
    """Set variables, and restore those that still have the set value at the end.

    A fixture of a wider scope may have set another value meanwhile, which stays.
    """
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if os.environ.get(name) != variables[name]:
                continue
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def reject_stand_in(headers: Any) -> None:
    """Raise KeyNeeded if one of a request's headers has the stand-in."""
    __tracebackhide__ = True  # the arguments are headers
    if any(value.removeprefix("Bearer ") == STAND_IN for _, value in header_pairs(headers)):
        raise KeyNeeded


@contextmanager
def allow_keyless_clients(choose: ChooseStandIns, exits: NetworkExits) -> Iterator[None]:
    """Let clients be made without a key; `choose` selects the stand-ins for each.

    Classes of modules that aren't imported yet are patched on import.
    """
    with ExitStack() as stack:

        def patch(module: ModuleType) -> None:
            for name, variables in _CLIENT_CLASSES[module.__name__].items():
                kind = getattr(module, name)
                stack.enter_context(
                    replaced(
                        kind, "__init__", _with_stand_ins(kind.__init__, variables, choose, exits)
                    )
                )

        finder = _Finder({name for name in _CLIENT_CLASSES if name not in sys.modules}, patch)
        for name in _CLIENT_CLASSES.keys() & sys.modules.keys():
            patch(sys.modules[name])
        sys.meta_path.insert(0, finder)
        try:
            yield
        finally:
            sys.meta_path.remove(finder)


def _with_stand_ins(
    init: Callable[..., None],
    variables: Mapping[str, str],
    choose: ChooseStandIns,
    exits: NetworkExits,
) -> Callable[..., None]:
    @wraps(init)
    def made(*args: Any, **kwargs: Any) -> None:
        missing = _missing(variables)
        stand_ins = choose(missing) if missing else missing
        if not stand_ins:
            return init(*args, **kwargs)
        with _set(stand_ins):
            init(*args, **kwargs)
        exits.watch()
        return None

    return made


class _Finder:
    """Find some modules by the other finders, and call `on_import` once one is imported."""

    def __init__(self, names: set[str], on_import: Callable[[ModuleType], None]) -> None:
        self._names, self._on_import = names, on_import

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Find one of the modules by the other finders; None for any other module."""
        if name not in self._names:
            return None
        others = [one for one in sys.meta_path if one is not self]
        spec = next(
            (found for one in others if (found := one.find_spec(name, path, target)) is not None),
            None,
        )
        if spec is not None and spec.loader is not None:
            execute = spec.loader.exec_module

            def executed(module: ModuleType) -> None:
                execute(module)
                self._names.discard(name)
                self._on_import(module)

            spec.loader.exec_module = executed  # type: ignore[method-assign]  # of this one loader
        return spec
