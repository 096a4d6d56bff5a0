"""What is on a client and its resources before `install`, so that `uninstall` can restore it."""

from __future__ import annotations

from types import FunctionType, MethodType
from typing import Any

from .compat import is_defined_in_sdk, is_sdk_resource


def contents_of(client: Any) -> list[tuple[Any, frozenset[str]]]:
    """List a client and the SDK's resources in it, each with the names of its attributes."""
    found: dict[int, tuple[Any, frozenset[str]]] = {}
    left = [client]
    while left:
        holder = left.pop()
        if id(holder) not in found:
            found[id(holder)] = (holder, frozenset(vars(holder)))
            left += (
                one for one in vars(holder).values() if any(map(is_sdk_resource, type(one).__mro__))
            )
    return list(found.values())


def forget_settings(client: Any) -> None:
    """Delete the adapter's attributes of a client."""
    for name in ("_adapter_settings", "_adapter_live", "_adapter_connected", "_adapter_before"):
        client.__dict__.pop(name, None)


def forget_resources(client: Any) -> None:
    """Delete resources that were made after `install`, except those on which others put something.

    A client that was made as an adapted one keeps all of them.
    """
    for holder, before in client.__dict__.get("_adapter_before", ()):
        # Resources hold methods of their client.
        seen = {id(client), id(holder), *map(id, vars(client).values())}
        seen -= {id(one) for name, one in vars(holder).items() if name not in before}
        for name in [
            name for name in vars(holder) if name not in before and not name.startswith("_")
        ]:
            if _is_unchanged(vars(holder)[name], seen):
                del vars(holder)[name]


def _is_unchanged(thing: Any, seen: set[int]) -> bool:
    """Return whether a resource, with all that is in it, is as the SDK made it."""
    if id(thing) in seen:
        return True
    seen.add(id(thing))
    # `type`, since wrapt's wrappers pass for instances of the class of what they wrap.
    if type(thing) is MethodType:
        return id(thing.__self__) in seen and thing.__func__ is getattr(
            type(thing.__self__), thing.__name__, None
        )
    if type(thing) is FunctionType:
        return is_defined_in_sdk(thing)
    return is_sdk_resource(type(thing)) and all(
        _is_unchanged(inside, seen) for inside in vars(thing).values()
    )
