"""A descriptor for resources of the SDK that are made faster when they are first used."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from adapter._runtime.internal_errors import raises_bugs

from .compat import CLIENT


class FastResource:
    """A resource that the SDK makes on first use; it is made faster then, and stays where it is.

    `make_fast` is called with the resource.
    """

    def __init__(self, make_fast: Callable[[Any], None]) -> None:
        self._make_fast = make_fast

    def __set_name__(self, owner: Any, name: str) -> None:
        self._owner, self._name = owner, name

    def __get__(self, holder: Any, owner: Any = None) -> Any:
        if holder is None:
            return getattr(self._owner.__base__, self._name)
        made = inherited(self._owner, holder, self._name)
        try:
            self._make_fast(made)
        except Exception:  # the SDK's own resource does the same
            if raises_bugs(holder.__dict__.get(CLIENT, holder)):
                raise
        return made


def inherited(owner: Any, holder: Any, name: str) -> Any:
    """Return an object's attribute as it is without the class `owner`."""
    try:
        found = super(owner, holder)
    except TypeError:  # uninstalled meanwhile
        return getattr(holder, name)
    return getattr(found, name)
