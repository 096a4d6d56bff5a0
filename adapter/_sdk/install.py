"""`install` and `uninstall`: existing clients of the SDK, adapted in place.

Both are atomic: a call that another thread has under way goes as the adapter would have it, or as the SDK would, and never fails for it.
Everything that sits on a client stays there, and in force: only the class of the client, and of resources that are the SDK's own, is
another one meanwhile.
"""

from __future__ import annotations

from types import FunctionType, MethodType, ModuleType
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import openai

from adapter._http.client_transports import INSTALL_LOCK, connect, disconnect, is_adapted
from adapter._routing.reload import reloader_of
from adapter._settings.coercion import SettingsLike, settings_of
from adapter.errors import AdapterError

from .client import adapted, configure
from .resources import restore_resources, use_fast_resource
from .response_processing import SUPPORTED, is_defined_in_sdk

if TYPE_CHECKING:  # what may be installed beside clients and the module: proxies of a known kind

    class _HasClient(Protocol):
        @property
        def client(self) -> Any: ...

    class _HasWrapped(Protocol):
        @property
        def __wrapped__(self) -> Any: ...


_Client = TypeVar(
    "_Client", bound="openai.OpenAI | openai.AsyncOpenAI | ModuleType | _HasClient | _HasWrapped"
)

_PROXIES = {
    ("braintrust", "NamedWrapper"): "_NamedWrapper__wrapped",
    ("instructor", "Instructor"): "client",
    ("lazy_object_proxy", "Proxy"): "__wrapped__",
    ("wrapt", "BaseObjectProxy"): "__wrapped__",
    ("wrapt", "ObjectProxy"): "__wrapped__",
}
"""What stands around a client and passes calls on to it: the package and the name of a class, and the attribute that holds the client."""


def install(client: _Client, settings: SettingsLike = None) -> _Client:
    """Turn an existing SDK client into an adapted one, in place, and return it.

    Everything that sits on it stays in force: its HTTP client with its proxies, certificates, limits and hooks, methods and
    resources that somebody has patched or replaced, and those that are held from before. Once more with other settings
    replaces them; without settings an adapted client is left as it is. The module `openai` itself stands for its
    module-level client, as it is configured then, and a proxy of a known kind for the client in it. Raises AdapterError for
    anything else.
    """
    target = _target(client)
    with INSTALL_LOCK:
        cls: Any = type(target)
        if not is_adapted(cls):
            # The class comes last, in one step: a call under way in another thread finds all or nothing.
            own, before = adapted(cls), _contents(target)
            target._adapter_settings = settings_of(settings)
            target._adapter_live = reloader_of(target._adapter_settings)
            try:
                target.__class__ = own
            except TypeError:
                _forget_settings(target)
                raise
            target._adapter_before = before
            connect(target)
            if SUPPORTED and "chat" in target.__dict__:
                use_fast_resource(target.__dict__["chat"])
        elif settings is not None:
            configure(target, settings_of(settings))
    return client


def uninstall(client: _Client) -> _Client:
    """Turn an adapted client back into what it was, in place, and return it."""
    target = _target(client)
    with INSTALL_LOCK:
        cls: Any = type(target)
        if is_adapted(cls):
            target.__class__ = next(base for base in cls.__mro__ if not is_adapted(base))
            disconnect(target)
            restore_resources(target)
            _forget_resources(target)
            _forget_settings(target)
    return client


def _target(given: object) -> Any:
    """Return the client that is meant. Raises AdapterError where there is none."""
    client: object = openai._load_client() if given is openai else given  # private, in all versions
    seen: list[object] = []
    while not issubclass(type(client), (openai.OpenAI, openai.AsyncOpenAI)):
        inside = _wrapped_client(client)
        if inside is None or any(inside is one for one in seen):
            raise AdapterError(
                f"expected a client of the openai SDK, got {_describe(client)}. "
                "If it stands around a client, install the client first, and then put it around: "
                "wrap(adapter.install(client))."
            )
        seen.append(client)
        client = inside
    return client


def _describe(given: object) -> str:
    return f"the class {given.__name__}" if isinstance(given, type) else type(given).__name__


def _wrapped_client(client: object) -> object:
    """Return what a proxy stands around; None for what is no proxy of a known kind."""
    for cls in type(client).__mro__:
        attribute = _PROXIES.get((cls.__module__.partition(".")[0], cls.__name__))
        if attribute is not None:
            return getattr(client, attribute, None)
    return None


def _forget_settings(client: Any) -> None:
    for name in ("_adapter_settings", "_adapter_live", "_adapter_connected", "_adapter_before"):
        client.__dict__.pop(name, None)


def _contents(client: Any) -> list[tuple[Any, frozenset[str]]]:
    """List a client and the SDK's resources in it, and what is on each."""
    found: dict[int, tuple[Any, frozenset[str]]] = {}
    left = [client]
    while left:
        holder = left.pop()
        if id(holder) not in found:
            found[id(holder)] = (holder, frozenset(vars(holder)))
            left += (
                one
                for one in vars(holder).values()
                if any(map(_is_sdk_resource, type(one).__mro__))
            )
    return list(found.values())


def _forget_resources(client: Any) -> None:
    """Let go of resources that weren't there before `install`, unless somebody has put something on them."""
    for holder, before in client.__dict__.get(
        "_adapter_before", ()
    ):  # none where it has always been ours
        seen = {
            id(client),
            id(holder),
            *map(id, vars(client).values()),
        }  # resources hold what is on their client
        seen -= {id(one) for name, one in vars(holder).items() if name not in before}
        for name in [
            name for name in vars(holder) if name not in before and not name.startswith("_")
        ]:
            if _is_unchanged(vars(holder)[name], seen):
                del vars(holder)[name]


def _is_sdk_resource(cls: type) -> bool:
    """Tell whether a class is one of the SDK's resources."""
    return cls.__module__.startswith("openai.resources.")


def _is_unchanged(thing: Any, seen: set[int]) -> bool:
    """Tell whether a resource is as the SDK made it, with all that is in it."""
    if id(thing) in seen:
        return True
    seen.add(id(thing))
    # Their very types: wrapt's wrappers are instances of what they wrap is one of.
    if type(thing) is MethodType:
        return id(thing.__self__) in seen and thing.__func__ is getattr(
            type(thing.__self__), thing.__name__, None
        )
    if type(thing) is FunctionType:
        return is_defined_in_sdk(thing)
    return _is_sdk_resource(type(thing)) and all(
        _is_unchanged(inside, seen) for inside in vars(thing).values()
    )
