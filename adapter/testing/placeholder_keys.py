"""Stand-ins for what clients can't be made without and a replay has no use for: keys, and Azure's address and version.

    environment of a test that replays     `standing_in()`, for the test's duration, where no key is set
    clients made when modules are imported `made_without_keys(given)`: the variables are there only while a client is made, so that
                                           nobody else, `skipif(not os.environ.get(...))` above all, takes the stand-in for a key

A key that is set is never replaced. A request that carries the stand-in and would leave for a server raises `KeyNeeded`.
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
"""The host that stands in cassettes in place of the real one; the top-level domain is reserved and never resolves."""

STAND_IN = "replay-only"

_KEY = {"OPENAI_API_KEY": STAND_IN}
_AZURE_KEY = {"AZURE_OPENAI_API_KEY": STAND_IN}
_AZURE = {**_AZURE_KEY, "AZURE_OPENAI_ENDPOINT": f"https://{HOST}", "OPENAI_API_VERSION": STAND_IN}
_ALTERNATIVES = {
    "OPENAI_API_KEY": "OPENAI_ADMIN_KEY",
    "AZURE_OPENAI_API_KEY": "AZURE_OPENAI_AD_TOKEN",
}
"""What does for a key as well."""

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
"""What isn't made without a key, by the module that it is in, and what the making of each looks up: the SDK's clients, and what
looks for a key itself before it makes one."""


ChooseStandIns = Callable[[Mapping[str, str]], Mapping[str, str]]
"""Chooses, of the stand-ins for variables that are missing, those to set while a client is made."""


class KeyNeeded(BaseException):
    """Say that a call would have left with the stand-in; no `except Exception` takes it for a failure of the server."""

    def __init__(self) -> None:
        super().__init__(
            "a call would have gone out with the stand-in that replays have for a key: set OPENAI_API_KEY (Azure's: "
            "AZURE_OPENAI_API_KEY) to record or to ask a server, or replay it from a cassette"
        )


def _missing(wanted: Mapping[str, str]) -> dict[str, str]:
    """Choose of the variables those that are unset or blank, as where a CI's secret is missing."""
    return {
        name: value
        for name, value in wanted.items()
        if not os.environ.get(name, "").strip() and not os.environ.get(_ALTERNATIVES.get(name, ""))
    }


def variables_present() -> frozenset[str]:
    """Name those of the variables that are set: where one is missing later, the suite has taken it away."""
    return frozenset(_NAMES - _missing(dict.fromkeys(_NAMES, "")).keys())


_stand_ins_settled = ContextVar("adapter.testing.settled", default=False)


@contextmanager
def set_stand_ins(*, settled: bool = False) -> Iterator[None]:
    """Set the stand-in for a key in the environment, where none is set; with `settled`, not again in the block.

    What a fixture takes away after that, before the cassette's own, stays away.
    For Azure's where the environment is one of Azure's: the SDK's module-level client takes the two together for a contradiction.
    """
    if _stand_ins_settled.get():
        yield
        return
    azures = any(name.startswith("AZURE_OPENAI_") and value for name, value in os.environ.items())
    token = (
        _stand_ins_settled.set(True) if settled else None
    )  # an async fixture may end in another context than it began in
    try:
        with _set(_missing(_AZURE_KEY if azures else _KEY)):
            yield
    finally:
        if token is not None:
            _stand_ins_settled.reset(token)


@contextmanager
def _set(variables: Mapping[str, str]) -> Iterator[None]:
    """Set variables, and put back what is still as it was set: a wider fixture may set others meanwhile, to stay."""
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
    """Raise KeyNeeded where one of a request's headers carries the stand-in."""
    __tracebackhide__ = True  # its arguments are headers
    if any(value.removeprefix("Bearer ") == STAND_IN for _, value in header_pairs(headers)):
        raise KeyNeeded


@contextmanager
def allow_keyless_clients(choose: ChooseStandIns, exits: NetworkExits) -> Iterator[None]:
    """Let clients be made without a key, with what is `given` for it, from when their modules are imported on."""
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
    """Find some modules as everybody does, and tell once one is imported."""

    def __init__(self, names: set[str], on_import: Callable[[ModuleType], None]) -> None:
        self._names, self._on_import = names, on_import

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Find one of the modules among what the others find; for all else, nothing."""
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
